"""The plan history: which plan, since when, who and why."""

from datetime import UTC
from typing import Any

from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from schemas.fields import InputSchema, utc


class HistoryQuerySchema(InputSchema):
    """Which entries: a page of them, or the one that held at a time."""

    limit = fields.Integer(load_default=10, validate=validate.Range(min=1, max=100))
    starting_after = fields.Integer(
        validate=validate.Range(min=1, max=2**63 - 1), metadata={"description": "the last `version` of the page before"}
    )
    at = fields.AwareDateTime(
        format="iso", default_timezone=UTC, metadata={"description": "ISO 8601, UTC unless it says otherwise"}
    )

    @validates_schema
    def asks_one_thing(self, data: dict[str, Any], **_: Any) -> None:
        """A time has one entry, so there is no page of it."""
        if "at" in data and "starting_after" in data:
            raise ValidationError("Not together with `at`.", "starting_after")


class ActorSchema(Schema):
    """Who."""

    type = fields.String(
        validate=validate.OneOf(["user", "sales", "stripe", "system"]),
        metadata={"description": "user: here; sales: at Stripe; stripe: its billing by itself; system: not known"},
    )
    id = fields.String(allow_none=True, metadata={"description": "the user's `sub`; null for one who only paid"})


class CauseSchema(Schema):
    """Why."""

    type = fields.String(validate=validate.OneOf(["change", "event", "reconciliation"]))
    id = fields.String(metadata={"description": "of the change or Stripe's event, or what looked at Stripe"})


class PlanStateSchema(Schema):
    """A plan, as Plan Details has it."""

    plan = fields.String()
    requested_plan = fields.String()
    status = fields.String()
    standing = fields.String()
    quantity = fields.Integer()
    currency = fields.String(allow_none=True)
    subscription_id = fields.String(allow_none=True)
    current_period_start = utc("first moment of the period; null without a subscription")
    current_period_end = utc("first moment after it")
    cancel_at = utc("when it is to end, if it is")


class EntrySchema(Schema):
    """The plan from a time on."""

    version = fields.Integer(metadata={"description": "counts from 1; 0 is before anything was recorded"})
    recorded_at = utc("from when on it held here; null for version 0")
    actor = fields.Nested(ActorSchema, allow_none=True)
    cause = fields.Nested(CauseSchema, allow_none=True)
    plan = fields.Nested(PlanStateSchema)


class HistorySchema(Schema):
    """Entries, newest first; with `at`, exactly one."""

    data = fields.List(fields.Nested(EntrySchema))
    has_more = fields.Boolean()
