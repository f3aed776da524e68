"""The schemas of usage."""

from datetime import UTC, datetime
from typing import Any, NamedTuple

from marshmallow import ValidationError, fields, post_load, validate

from schemas.fields import ORGANIZATION_ID, Currency, InputSchema, OutputSchema, one_of, utc

MOST_EVENTS = 1_000
EVENT_ID = validate.Regexp(r"\A[A-Za-z0-9_.:-]{1,64}\Z", error="Must be an id of at most 64 characters.")
METER_KEY = validate.Regexp(r"\A[a-z0-9_]{1,64}\Z", error="Must be the key of a meter.")
# Stripe refuses values with more than 15 digits, and a report adds up many events.
QUANTITY = validate.Range(min=0, max=1_000_000_000, error="Must be a whole number from 0 to 1,000,000,000.")
REFUSALS = ("unknown_meter", "too_old", "too_far_ahead", "id_reused")


class SentEvent(NamedTuple):
    """A usage event. Its fields are also columns of the stored event."""

    id: str
    organization_id: str
    meter: str
    quantity: int
    occurred_at: datetime


class SentEventSchema(InputSchema):
    """One usage event."""

    id = fields.String(required=True, validate=EVENT_ID, metadata={"description": "unique among all usage events"})
    organization_id = fields.String(required=True, validate=ORGANIZATION_ID)
    meter = fields.String(
        required=True, validate=METER_KEY, metadata={"description": "key of a meter of the catalogue"}
    )
    quantity = fields.Integer(required=True, strict=True, validate=QUANTITY)
    occurred_at = fields.AwareDateTime(
        required=True, format="iso", default_timezone=UTC, metadata={"description": "ISO 8601, in UTC by default"}
    )

    @post_load
    def event(self, data: dict[str, Any], **_: Any) -> SentEvent:
        """Return the event, with its time in UTC and in whole seconds, as Stripe keeps it."""
        try:
            occurred_at = data["occurred_at"].astimezone(UTC).replace(microsecond=0)
        except OverflowError as error:  # before the year 1 or after the year 9999 in UTC
            raise ValidationError("Not a valid datetime.", "occurred_at") from error
        return SentEvent(**data | {"occurred_at": occurred_at})


class UsageSchema(InputSchema):
    """The usage events of one call."""

    events = fields.List(
        fields.Nested(SentEventSchema), required=True, validate=validate.Length(min=1, max=MOST_EVENTS)
    )


class RefusedEventSchema(OutputSchema):
    """An event that the gateway did not store."""

    id = fields.String()
    reason = one_of(*REFUSALS)


class RecordedUsageSchema(OutputSchema):
    """What became of the events of a call."""

    new = fields.List(fields.String(), metadata={"description": "ids of the events that are stored now"})
    known = fields.List(fields.String(), metadata={"description": "ids of the events that were stored before"})
    refused = fields.List(fields.Nested(RefusedEventSchema), metadata={"description": "events that are not stored"})


class UsageLevelSchema(InputSchema):
    """How many an organization has of what its plan's quantity counts."""

    organization_id = fields.String(required=True, validate=ORGANIZATION_ID)
    meter = fields.String(
        required=True, validate=METER_KEY, metadata={"description": "what a plan counts, such as services"}
    )
    value = fields.Integer(required=True, strict=True, validate=QUANTITY)


class UsageQuerySchema(InputSchema):
    """The days to show."""

    first = fields.Date(data_key="from", format="iso", metadata={"description": "first day in UTC, by default the 1st"})
    last = fields.Date(data_key="to", format="iso", metadata={"description": "last day in UTC, by default today"})


class UsageAmountsSchema(OutputSchema):
    """Usage of one meter."""

    quantity = fields.Integer()
    acknowledged = fields.Integer(metadata={"description": "counted by Stripe"})
    refused = fields.Integer(metadata={"description": "refused by Stripe, which does not bill it"})


class UsageDaySchema(UsageAmountsSchema):
    """Usage on one day."""

    date = fields.Date(format="iso", metadata={"description": "in UTC"})


class MeterUsageSchema(OutputSchema):
    """The days with usage of one meter."""

    meter = fields.String()
    name = fields.String()
    aggregation = one_of("sum", "count", "last")
    total = fields.Nested(UsageAmountsSchema)
    days = fields.List(fields.Nested(UsageDaySchema))


class UsageSeriesSchema(OutputSchema):
    """The usage of all meters, from our own records."""

    first = fields.Date(data_key="from", format="iso")
    last = fields.Date(data_key="to", format="iso")
    meters = fields.List(fields.Nested(MeterUsageSchema))


class EstimateSchema(OutputSchema):
    """What the next invoice would be now. All amounts but `due` add up to it."""

    currency = Currency()
    base = fields.Integer(metadata={"description": "minor units"})
    prorations = fields.Integer()
    usage = fields.Integer()
    discounts = fields.Integer(metadata={"description": "negative"})
    tax = fields.Integer(metadata={"description": "on top of the prices"})
    balance = fields.Integer(metadata={"description": "of the customer, negative for a credit"})
    due = fields.Integer()
    billing_date = utc("when Stripe makes the invoice")
    calculated_at = utc("when Stripe calculated it")


class UsageEstimateSchema(OutputSchema):
    """The estimate of the next invoice."""

    estimate = fields.Nested(
        EstimateSchema, allow_none=True, metadata={"description": "null without a subscription and during a trial"}
    )
