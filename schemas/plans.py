"""The schemas of the catalogue as the UI shows it."""

from marshmallow import fields

from schemas.fields import Currency, OutputSchema, PlanKey, one_of


class PlanPriceSchema(OutputSchema):
    """The price of one unit."""

    unit_amount = fields.Integer(metadata={"description": "minor units"})
    currency = Currency()
    interval = one_of("day", "week", "month", "year")


class PlanSchema(OutputSchema):
    """A plan and the caller's possible action."""

    key = PlanKey()
    name = fields.String()
    description = fields.String()
    max_quantity = fields.Integer()
    price = fields.Nested(PlanPriceSchema, allow_none=True, metadata={"description": "null if sales agrees the price"})
    action = one_of("current", "upgrade", "downgrade", "contact_sales")


class PlanListSchema(OutputSchema):
    """All plans, from the smallest to the largest."""

    data = fields.List(fields.Nested(PlanSchema))
