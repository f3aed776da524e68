"""What an organization pays at, what it is given off, and what it got back, as Plan Details show it."""

from marshmallow import fields

from schemas.fields import PLAN_KEY, Currency, OutputSchema, one_of, utc

INTERVALS = ("day", "week", "month", "year")


class PriceSchema(OutputSchema):
    """The price of one unit."""

    id = fields.String(
        allow_none=True, metadata={"description": "Stripe's id, or null if Stripe has no such price yet"}
    )
    unit_amount = fields.Integer(
        allow_none=True, metadata={"description": "minor units, or null for tiers and for fractions of a minor unit"}
    )
    unit_amount_decimal = fields.String(
        allow_none=True, metadata={"description": "an amount with a fraction of a minor unit"}
    )
    currency = Currency()
    interval = one_of(*INTERVALS)
    interval_count = fields.Integer(metadata={"description": "intervals between two billing dates"})


class DiscountSchema(OutputSchema):
    """A discount. Either `percent_off` or `amount_off` is set."""

    name = fields.String()
    percent_off = fields.Float(allow_none=True)
    amount_off = fields.Integer(allow_none=True, metadata={"description": "minor units"})
    currency = Currency(allow_none=True)
    ends_at = utc("when the discount ends, or null if no date is set", allow_none=True)


class GrantSchema(OutputSchema):
    """A complimentary plan. The organization uses the higher one of it and the subscription's plan."""

    plan = fields.String(validate=PLAN_KEY, metadata={"description": "of the catalogue of that time"})
    until = utc("when it ends")


class OverLimitSchema(OutputSchema):
    """A limit of a plan that the organization exceeds."""

    limit = fields.String()
    allowed = fields.Integer()
    present = fields.Integer(metadata={"description": "what the organization has now"})


class ReturnedPaymentSchema(OutputSchema):
    """A payment that was refunded or disputed."""

    charge = fields.String()
    invoice = fields.String(allow_none=True)
    currency = Currency()
    amount = fields.Integer(metadata={"description": "what was paid, in minor units"})
    refunded = fields.Integer(metadata={"description": "what was refunded of it"})
    lost = fields.Integer(metadata={"description": "what a lost dispute took back of it"})
    dispute = one_of("open", "lost", allow_none=True, metadata={"description": "null without an open or lost dispute"})
