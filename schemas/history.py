"""The schemas of the plan history, which says who changed the plan, when and why."""

from datetime import UTC
from typing import Any

from marshmallow import ValidationError, fields, validate, validates_schema

from schemas.fields import PLAN_KEY, Currency, InputSchema, OutputSchema, one_of, utc
from schemas.subscription import STANDINGS, STATUSES
from schemas.terms import ReturnedPaymentSchema


class HistoryQuerySchema(InputSchema):
    """The query for a page of entries, or for the one entry in force at a time."""

    limit = fields.Integer(load_default=10, validate=validate.Range(min=1, max=100))
    starting_after = fields.Integer(
        validate=validate.Range(min=1, max=2**63 - 1), metadata={"description": "last `version` of the previous page"}
    )
    at = fields.AwareDateTime(
        format="iso", default_timezone=UTC, metadata={"description": "ISO 8601, in UTC by default"}
    )

    @validates_schema
    def refuse_page_at_a_time(self, data: dict[str, Any], **_: Any) -> None:
        """Raise ValidationError for a page at a time, because only one entry is in force at a time."""
        if "at" in data and "starting_after" in data:
            raise ValidationError("Cannot be used with `at`.", "starting_after")


class ActorSchema(OutputSchema):
    """The author of a change."""

    type = one_of(
        "user",
        "usage",
        "sales",
        "stripe",
        "operator",
        "system",
        metadata={
            "description": "user (here), usage (a level that the quantity follows), sales (at Stripe), stripe (its own "
            "billing), operator (of the gateway) or system (by time, or unknown)"
        },
    )
    id = fields.String(allow_none=True, metadata={"description": "the `sub` of a user who changed the plan, or null"})


class CauseSchema(OutputSchema):
    """The reason for a change."""

    type = one_of("adoption", "change", "event", "grant", "reconciliation")
    id = fields.String(metadata={"description": "of the change, the grant or Stripe's event, or the name of a check"})


class PlanStateSchema(OutputSchema):
    """A plan as Plan Details shows it."""

    plan = fields.String(validate=PLAN_KEY, metadata={"description": "of the catalogue of that time"})
    requested_plan = fields.String(validate=PLAN_KEY, metadata={"description": "of the catalogue of that time"})
    status = one_of(*STATUSES)
    standing = one_of(*STANDINGS)
    quantity = fields.Integer()
    currency = Currency(allow_none=True)
    subscription_id = fields.String(allow_none=True)
    current_period_start = utc("first moment of the period, or null without a subscription", allow_none=True)
    current_period_end = utc("first moment after the period, or null without a subscription", allow_none=True)
    cancel_at = utc("when the subscription is to end, or null", allow_none=True)
    returned_payments = fields.List(fields.Nested(ReturnedPaymentSchema))
    granted_plan = fields.String(
        validate=PLAN_KEY, allow_none=True, metadata={"description": "the complimentary plan, or null"}
    )
    granted_until = utc("when the complimentary plan ends, or null", allow_none=True)


class EntrySchema(OutputSchema):
    """A plan and the time since which it was in force."""

    version = fields.Integer(metadata={"description": "counts from 1, and 0 means before the first record"})
    recorded_at = utc("since when it was in force here, or null for version 0", allow_none=True)
    actor = fields.Nested(ActorSchema, allow_none=True)
    cause = fields.Nested(CauseSchema, allow_none=True)
    plan = fields.Nested(PlanStateSchema)


class HistorySchema(OutputSchema):
    """Entries, newest first. With `at` there is exactly one."""

    data = fields.List(fields.Nested(EntrySchema))
    has_more = fields.Boolean()
