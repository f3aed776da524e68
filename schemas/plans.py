"""The schemas of the catalogue as the UI shows it."""

from marshmallow import fields

from schemas.fields import OutputSchema, PlanKey, one_of
from schemas.terms import PriceSchema


class TierSchema(OutputSchema):
    """The amounts for a range of units, in minor units."""

    up_to = fields.Integer(allow_none=True, metadata={"description": "the last unit, or null in the last tier"})
    unit_amount = fields.Integer(allow_none=True)
    unit_amount_decimal = fields.String(allow_none=True)
    flat_amount = fields.Integer(allow_none=True)


class ListPriceSchema(PriceSchema):
    """A price of the catalogue. Either `unit_amount`, `unit_amount_decimal` or `tiers` holds the amounts."""

    tiers_mode = one_of("graduated", "volume", allow_none=True)
    tiers = fields.List(fields.Nested(TierSchema))


class MeteredSchema(OutputSchema):
    """Usage that the plan bills every month."""

    meter = fields.String()
    name = fields.String()
    included = fields.Integer(metadata={"description": "usage of a month that costs nothing, as `tiers` show too"})
    price = fields.Nested(
        ListPriceSchema,
        allow_none=True,
        metadata={"description": "what the organization pays or would pay, or null if it pays another price"},
    )
    prices = fields.List(fields.Nested(ListPriceSchema), metadata={"description": "all list prices"})


class TrialSchema(OutputSchema):
    """A trial without a card."""

    days = fields.Integer()


class PlanSchema(OutputSchema):
    """A plan and the caller's possible action."""

    key = PlanKey()
    name = fields.String()
    description = fields.String()
    unit = fields.String(allow_none=True, metadata={"description": "what the quantity counts, such as services"})
    max_quantity = fields.Integer()
    price = fields.Nested(PriceSchema, allow_none=True, metadata={"description": "null if sales agrees the price"})
    prices = fields.List(fields.Nested(ListPriceSchema), metadata={"description": "all list prices"})
    intervals = fields.List(
        one_of("month", "year"),
        metadata={"description": "intervals at which the plan is on sale in the organization's currency"},
    )
    metered = fields.List(fields.Nested(MeteredSchema))
    limits = fields.Dict(
        keys=fields.String(), values=fields.Integer(allow_none=True), metadata={"description": "null is unlimited"}
    )
    features = fields.Dict(keys=fields.String(), values=fields.Boolean())
    trial = fields.Nested(TrialSchema, allow_none=True)
    action = one_of("current", "upgrade", "downgrade", "contact_sales", "unavailable")


class PlanListSchema(OutputSchema):
    """All plans, from the smallest to the largest."""

    data = fields.List(fields.Nested(PlanSchema))
