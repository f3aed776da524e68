"""Who is billed, and by which card."""

from marshmallow import Schema, fields, validate

from schemas.countries import COUNTRIES
from schemas.fields import STRIPE_ID, EmailAddress, InputSchema, Text
from schemas.subscription import CardSchema

MOST_TAX_IDS = 5  # a customer at Stripe has no more


class AddressSchema(InputSchema):
    """A postal address."""

    line1 = Text(longest=200, required=True)
    line2 = Text(longest=200, allow_none=True, load_default=None)
    city = Text(longest=100, allow_none=True, load_default=None)
    state = Text(longest=100, allow_none=True, load_default=None)
    postal_code = Text(longest=20, allow_none=True, load_default=None)
    country = fields.String(
        required=True,
        validate=validate.OneOf(COUNTRIES, error="Not a country of ISO 3166-1, such as DE."),
        metadata={"description": "ISO 3166-1 alpha-2", "example": "DE"},
    )


class TaxIdSchema(InputSchema):
    """A tax id, of a type of Stripe's: https://docs.stripe.com/billing/customer/tax-ids."""

    type = fields.String(
        required=True,
        validate=validate.Regexp(r"\A[a-z]{2}_[a-z_]{2,20}\Z", error="Not a type such as eu_vat."),
        metadata={"example": "eu_vat"},
    )
    value = Text(longest=100, required=True, metadata={"example": "DE123456789"})


class BillingDetailsSchema(InputSchema):
    """Who is billed. PUT replaces all of it."""

    name = Text(longest=256, required=True)
    email = EmailAddress(required=True, metadata={"format": "email"})
    address = fields.Nested(AddressSchema, required=True, allow_none=True)
    tax_ids = fields.List(
        fields.Nested(TaxIdSchema), required=True, validate=validate.Length(max=MOST_TAX_IDS, error="At most {max}.")
    )


class ShownAddressSchema(Schema):
    """An address as Stripe has it: somebody may have typed another one there than could be typed here."""

    line1 = fields.String(allow_none=True)
    line2 = fields.String(allow_none=True)
    city = fields.String(allow_none=True)
    state = fields.String(allow_none=True)
    postal_code = fields.String(allow_none=True)
    country = fields.String(allow_none=True)


class ShownTaxIdSchema(Schema):
    """A tax id on file."""

    type = fields.String()
    value = fields.String()
    verification = fields.String(
        allow_none=True, metadata={"description": "pending, verified, unverified or unavailable"}
    )


class ShownBillingDetailsSchema(Schema):
    """Who is billed, as Stripe has it; null is what nobody has said yet."""

    name = fields.String(allow_none=True)
    email = fields.String(allow_none=True)
    address = fields.Nested(ShownAddressSchema, allow_none=True)
    tax_ids = fields.List(fields.Nested(ShownTaxIdSchema))


class SetupIntentSchema(Schema):
    """What Stripe.js needs to take a card in the browser."""

    client_secret = fields.String()
    publishable_key = fields.String()


class ListedCardSchema(CardSchema):
    """A card in the list."""

    is_default = fields.Boolean()
    is_expired = fields.Boolean(metadata={"description": "its last month is over: it can no longer be charged"})


class CardListSchema(Schema):
    """The cards on file."""

    data = fields.List(fields.Nested(ListedCardSchema))


class DefaultCardSchema(InputSchema):
    """Which card to charge."""

    payment_method = fields.String(required=True, validate=STRIPE_ID)
