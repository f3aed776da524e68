"""The subscription resource: commands in, changes, quotes and Plan Details out."""

from dataclasses import dataclass
from typing import Any

from marshmallow import Schema, ValidationError, fields, post_load, validate, validates_schema

from schemas.fields import PLAN_KEY, STRIPE_ID, TOKEN, InputSchema, utc

QUANTITY = validate.Range(min=1, max=1_000_000, error="Must be a whole number from 1 on.")


@dataclass(frozen=True, kw_only=True)
class ChangeCommand:
    """What the caller wants. None: as it is now, or as the quote says."""

    plan: str | None = None
    quantity: int | None = None
    payment_method: str | None = None
    quote: str | None = None
    enroll: bool = False
    """Whether an organization without a subscription may get one: only POST says so."""
    if_match: frozenset[int] | None = None
    """The versions of the plan (``If-Match``) of which one must be the present one."""


class ChangeCommandSchema(InputSchema):
    """What can be asked of a subscription."""

    plan = fields.String(validate=PLAN_KEY, metadata={"description": "Key of the plan, see GET /v1/plans"})
    quantity = fields.Integer(strict=True, validate=QUANTITY)

    @validates_schema
    def asks_for_something(self, data: dict[str, Any], **_: Any) -> None:
        """An empty body would be a change to nothing."""
        if not data:
            raise ValidationError("Say what to change.")

    @post_load
    def command(self, data: dict[str, Any], **_: Any) -> ChangeCommand:
        """The command."""
        return ChangeCommand(**data)


class ModifySubscriptionSchema(ChangeCommandSchema):
    """PATCH: a plan, a quantity, or a quote that names both."""

    quote = fields.String(validate=TOKEN, metadata={"description": "Token of a quote: then it costs exactly that"})


class CancelSubscriptionSchema(InputSchema):
    """DELETE: its query."""

    quote = fields.String(validate=TOKEN, metadata={"description": "Token of a quote for Free"})

    @post_load
    def command(self, data: dict[str, Any], **_: Any) -> ChangeCommand:
        """The command, but for the plan."""
        return ChangeCommand(**data)


class CreateSubscriptionSchema(ModifySubscriptionSchema):
    """POST: the plan to start on."""

    plan = fields.String(required=True, validate=PLAN_KEY)
    payment_method = fields.String(
        validate=STRIPE_ID, metadata={"description": "A card of the organization's to make the default first"}
    )

    @post_load
    def command(self, data: dict[str, Any], **_: Any) -> ChangeCommand:
        """The command, which may enrol."""
        return ChangeCommand(**data, enroll=True)


class PeriodSchema(Schema):
    """A span of time; the end belongs to the next."""

    start = utc("first moment")
    end = utc("first moment after")


class QuoteLineSchema(Schema):
    """A line, as the invoice will have it."""

    description = fields.String(allow_none=True)
    amount = fields.Integer(metadata={"description": "minor units; a credit is negative"})
    currency = fields.String()
    period = fields.Nested(PeriodSchema)
    proration = fields.Boolean()


class QuoteSchema(Schema):
    """What a change would cost."""

    token = fields.String()
    expires_at = utc("the token is good until then")
    proration_date = utc("the second from which Stripe prorates")
    plan = fields.String()
    quantity = fields.Integer()
    currency = fields.String()
    lines = fields.List(fields.Nested(QuoteLineSchema))
    amount_due_now = fields.Integer(metadata={"description": "minor units"})
    amount_due_on_billing_date = fields.Integer(metadata={"description": "minor units"})
    credit = fields.Integer(metadata={"description": "minor units given back for time that was paid and not used"})
    billing_date = utc("when it is charged")
    estimate = fields.Boolean(metadata={"description": "usage that goes on being counted may still change it"})


class CardSchema(Schema):
    """A card on file."""

    id = fields.String()
    brand = fields.String(allow_none=True)
    last4 = fields.String(allow_none=True)
    exp_month = fields.Integer(allow_none=True)
    exp_year = fields.Integer(allow_none=True)


class InvoiceSummarySchema(Schema):
    """An invoice in brief."""

    id = fields.String()
    status = fields.String()
    total = fields.Integer(metadata={"description": "minor units"})
    currency = fields.String()


class UpcomingChargesSchema(Schema):
    """What Stripe calculated ahead of the billing date."""

    amount_due = fields.Integer(metadata={"description": "minor units"})
    currency = fields.String()
    calculated_at = utc("when Stripe calculated it")
    billing_date = utc("when it is charged")


class PendingChangeSchema(Schema):
    """The change that is on its way."""

    id = fields.String()
    state = fields.String()
    to_plan = fields.String()
    quantity = fields.Integer()


class PlanDetailsSchema(Schema):
    """Plan Details."""

    organization_id = fields.String()
    plan = fields.String(metadata={"description": "what the organization may use"})
    plan_name = fields.String()
    requested_plan = fields.String(metadata={"description": "what it is subscribed to, paid or not"})
    status = fields.String(metadata={"description": "Stripe's status, or none"})
    standing = fields.String(validate=validate.OneOf(["good", "grace", "suspended"]))
    quantity = fields.Integer()
    currency = fields.String(allow_none=True)
    current_period = fields.Nested(PeriodSchema, allow_none=True)
    billing_date = utc("when the next charge is made; null on Free")
    upcoming_charges = fields.Nested(UpcomingChargesSchema, allow_none=True)
    payment_method = fields.Nested(CardSchema, allow_none=True)
    latest_invoice = fields.Nested(InvoiceSummarySchema, allow_none=True)
    pending_change = fields.Nested(PendingChangeSchema, allow_none=True)
    actions = fields.List(fields.String())
    as_of = utc("when the plan last changed here")
    version = fields.Integer()


class ChangeErrorSchema(Schema):
    """Why a change failed."""

    code = fields.String()
    detail = fields.String()


class ChangeSchema(Schema):
    """A change and its state."""

    id = fields.String()
    state = fields.String(
        validate=validate.OneOf(["requested", "processing", "requires_action", "applied", "failed", "abandoned"])
    )
    from_plan = fields.String()
    to_plan = fields.String()
    quantity = fields.Integer()
    error = fields.Nested(ChangeErrorSchema, allow_none=True)
    created_at = utc("when it was requested")


class ChangeResultSchema(ChangeSchema):
    """A change with the plan as it stands now."""

    client_secret = fields.String(
        allow_none=True, metadata={"description": "completes the payment in the browser, while it requires_action"}
    )
    subscription = fields.Nested(PlanDetailsSchema)


class ChangeListSchema(Schema):
    """The last changes, newest first."""

    data = fields.List(fields.Nested(ChangeSchema))
