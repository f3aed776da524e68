"""The schemas of billing details and payment methods."""

from marshmallow import fields, validate

from schemas.countries import COUNTRIES
from schemas.fields import STRIPE_ID, EmailAddress, InputSchema, OutputSchema, Text
from schemas.subscription import PaymentMethodSchema

MOST_TAX_IDS = 5  # Stripe keeps no more for a customer


class AddressSchema(InputSchema):
    """A postal address."""

    line1 = Text(longest=200, required=True)
    line2 = Text(longest=200, allow_none=True, load_default=None)
    city = Text(longest=100, allow_none=True, load_default=None)
    state = Text(longest=100, allow_none=True, load_default=None)
    postal_code = Text(longest=20, allow_none=True, load_default=None)
    country = fields.String(
        required=True,
        validate=validate.OneOf(COUNTRIES, error="Must be a country code of ISO 3166-1, such as DE."),
        metadata={"description": "ISO 3166-1 alpha-2", "example": "DE"},
    )


class TaxIdSchema(InputSchema):
    """A tax id of one of Stripe's types (https://docs.stripe.com/billing/customer/tax-ids)."""

    type = fields.String(
        required=True,
        validate=validate.Regexp(r"\A[a-z]{2}_[a-z_]{2,20}\Z", error="Must be a type such as eu_vat."),
        metadata={"example": "eu_vat"},
    )
    value = Text(longest=100, required=True, metadata={"example": "DE123456789"})


class BillingDetailsSchema(InputSchema):
    """The billing details. PUT replaces all of them."""

    name = Text(longest=256, required=True)
    email = EmailAddress(required=True)
    address = fields.Nested(AddressSchema, required=True, allow_none=True)
    tax_ids = fields.List(
        fields.Nested(TaxIdSchema), required=True, validate=validate.Length(max=MOST_TAX_IDS, error="At most {max}.")
    )


class ShownAddressSchema(OutputSchema):
    """An address as Stripe has it. A person may have typed an address at Stripe that this interface would refuse."""

    line1 = fields.String(allow_none=True)
    line2 = fields.String(allow_none=True)
    city = fields.String(allow_none=True)
    state = fields.String(allow_none=True)
    postal_code = fields.String(allow_none=True)
    country = fields.String(allow_none=True)


class ShownTaxIdSchema(OutputSchema):
    """A tax id on file."""

    type = fields.String()
    value = fields.String()
    verification = fields.String(
        allow_none=True, metadata={"description": "pending, verified, unverified or unavailable"}
    )


class ShownBillingDetailsSchema(OutputSchema):
    """The billing details as Stripe has them. A value is null until somebody enters it."""

    name = fields.String(allow_none=True)
    email = fields.String(allow_none=True)
    address = fields.Nested(ShownAddressSchema, allow_none=True)
    tax_ids = fields.List(fields.Nested(ShownTaxIdSchema))


class SetupIntentSchema(OutputSchema):
    """The values that Stripe.js needs to add a payment method in the browser."""

    client_secret = fields.String()
    publishable_key = fields.String()


class ListedPaymentMethodSchema(PaymentMethodSchema):
    """A payment method in the list."""

    is_default = fields.Boolean(metadata={"description": "whether Stripe charges it for the plan"})
    is_expired = fields.Boolean(metadata={"description": "its expiry month has passed, so it can no longer be charged"})


class PaymentMethodListSchema(OutputSchema):
    """The payment methods on file."""

    data = fields.List(fields.Nested(ListedPaymentMethodSchema))


class DefaultPaymentMethodSchema(InputSchema):
    """The payment method to charge."""

    payment_method = fields.String(required=True, validate=STRIPE_ID)
