"""The schemas of the catalogue as the UI shows it."""

from marshmallow import fields

from schemas.fields import OutputSchema, PlanKey, one_of
from schemas.terms import PriceSchema


class PlanSchema(OutputSchema):
    """A plan and the caller's possible action."""

    key = PlanKey()
    name = fields.String()
    description = fields.String()
    max_quantity = fields.Integer()
    price = fields.Nested(PriceSchema, allow_none=True, metadata={"description": "null if sales agrees the price"})
    action = one_of("current", "upgrade", "downgrade", "contact_sales", "unavailable")


class PlanListSchema(OutputSchema):
    """All plans, from the smallest to the largest."""

    data = fields.List(fields.Nested(PlanSchema))
