"""Cards: how they come on file, and which is charged."""

from marshmallow import Schema, fields

from schemas.fields import STRIPE_ID, InputSchema
from schemas.subscription import CardSchema


class SetupIntentSchema(Schema):
    """What Stripe.js needs to take a card in the browser."""

    client_secret = fields.String()
    publishable_key = fields.String()


class ListedCardSchema(CardSchema):
    """A card in the list."""

    is_default = fields.Boolean()


class CardListSchema(Schema):
    """The cards on file."""

    data = fields.List(fields.Nested(ListedCardSchema))


class DefaultCardSchema(InputSchema):
    """Which card to charge."""

    payment_method = fields.String(required=True, validate=STRIPE_ID)
