"""The catalogue as the UI shows it."""

from marshmallow import Schema, fields, validate


class PlanPriceSchema(Schema):
    """What a unit costs."""

    unit_amount = fields.Integer(metadata={"description": "minor units"})
    currency = fields.String()
    interval = fields.String()


class PlanSchema(Schema):
    """A plan, and what the caller may do about it."""

    key = fields.String()
    name = fields.String()
    description = fields.String()
    max_quantity = fields.Integer()
    price = fields.Nested(PlanPriceSchema, allow_none=True, metadata={"description": "null: agreed with sales"})
    action = fields.String(validate=validate.OneOf(["current", "upgrade", "downgrade", "contact_sales"]))


class PlanListSchema(Schema):
    """All plans, from the smallest to the largest."""

    data = fields.List(fields.Nested(PlanSchema))
