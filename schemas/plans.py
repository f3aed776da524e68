"""The schemas of the catalogue as the UI shows it."""

from marshmallow import Schema, fields, validate


class PlanPriceSchema(Schema):
    """The price of one unit."""

    unit_amount = fields.Integer(metadata={"description": "minor units"})
    currency = fields.String()
    interval = fields.String()


class PlanSchema(Schema):
    """A plan and the caller's possible action."""

    key = fields.String()
    name = fields.String()
    description = fields.String()
    max_quantity = fields.Integer()
    price = fields.Nested(PlanPriceSchema, allow_none=True, metadata={"description": "null if sales agrees the price"})
    action = fields.String(validate=validate.OneOf(["current", "upgrade", "downgrade", "contact_sales"]))


class PlanListSchema(Schema):
    """All plans, from the smallest to the largest."""

    data = fields.List(fields.Nested(PlanSchema))
