"""The requests that enrol an organization, change its plan or cancel it."""

from dataclasses import dataclass
from typing import Any

from marshmallow import ValidationError, fields, post_load, validate, validates_schema

from schemas.fields import (
    PLAN_KEY,
    STRIPE_ID,
    TOKEN,
    InputSchema,
    PlanKey,
    StrictBoolean,
    Text,
)

CURRENCY = validate.Regexp(r"\A[a-z]{3}\Z", error="Must be a currency in lower case, such as usd.")
FEEDBACK = (
    "customer_service",
    "low_quality",
    "missing_features",
    "other",
    "switched_service",
    "too_complex",
    "too_expensive",
    "unused",
)
INTERVAL = validate.OneOf(("month", "year"))
QUANTITY = validate.Range(min=1, max=1_000_000, error="Must be a whole number from 1 to 1,000,000.")


@dataclass(frozen=True, kw_only=True)
class ChangeCommand:
    """The change that the caller wants. None means the present value, or the value of the quote."""

    plan: str | None = None
    quantity: int | None = None
    interval: str | None = None
    payment_method: str | None = None
    quote: str | None = None
    shown_price: str | None = None
    """The id of the price that the caller saw, which must still be the price of the plan."""
    currency: str | None = None
    """The currency of an enrolment. It is fixed afterwards."""
    trial: bool = False
    """Whether the change must start the trial of the plan."""
    enroll: bool = False
    """Whether an organization without a subscription may get one. Only POST allows it."""
    cancellation: dict[str, str] | None = None
    """Why the plan is cancelled, in Stripe's words (`feedback`) and in the caller's (`comment`)."""
    if_match: frozenset[int] | None = None
    """The plan versions of ``If-Match``, one of which must be the present one."""


class ChangeCommandSchema(InputSchema):
    """The body of a change."""

    class Meta(InputSchema.Meta):
        """Options for marshmallow and for the OpenAPI document."""

        min_properties = 1

    plan = PlanKey(validate=PLAN_KEY, metadata={"description": "Key of the plan, see GET /v1/plans"})
    quantity = fields.Integer(strict=True, validate=QUANTITY)
    interval = fields.String(
        validate=INTERVAL, metadata={"description": "Interval to be billed at, see `intervals` of GET /v1/plans"}
    )

    @validates_schema
    def refuse_empty_body(self, data: dict[str, Any], **_: Any) -> None:
        """Raise ValidationError for an empty body if it would change nothing."""
        if not data and self.Meta.min_properties:
            raise ValidationError("Say what to change.")

    @post_load
    def command(self, data: dict[str, Any], **_: Any) -> ChangeCommand:
        """Return the command."""
        return ChangeCommand(**data)


class ModifySubscriptionSchema(ChangeCommandSchema):
    """The body of a PATCH, with a plan, a quantity, an interval, or a quote that names them."""

    quote = fields.String(validate=TOKEN, metadata={"description": "Token of a quote, which fixes the cost"})
    shown_price = fields.String(
        validate=STRIPE_ID,
        metadata={"description": "`price.id` of the plan as GET /v1/plans showed it, to refuse another price"},
    )
    trial = StrictBoolean(metadata={"description": "true to start the trial, see `actions` of GET /v1/subscription"})

    @validates_schema
    def refuse_quoted_trial(self, data: dict[str, Any], **_: Any) -> None:
        """Raise ValidationError for a trial with a quote, because a quote buys the plan."""
        if data.get("trial") and "quote" in data:
            raise ValidationError("A trial costs nothing, so it has no quote.", "quote")


class CancelSubscriptionSchema(InputSchema):
    """The query of a DELETE."""

    quote = fields.String(validate=TOKEN, metadata={"description": "Token of a quote for the plan that costs nothing"})

    @post_load
    def command(self, data: dict[str, Any], **_: Any) -> ChangeCommand:
        """Return the command without its plan."""
        return ChangeCommand(**data)


class CancellationReasonSchema(InputSchema):
    """The optional body of a DELETE, which says why the plan is cancelled.

    The reasons are Stripe's (https://docs.stripe.com/api/subscriptions/object#subscription_object-cancellation_details).
    """

    feedback = fields.String(validate=validate.OneOf(FEEDBACK))
    comment = Text(longest=500, lines=True)


class CreateSubscriptionSchema(ModifySubscriptionSchema):
    """The body of a POST. Without a plan, the organization starts on the catalogue's trial."""

    class Meta(ChangeCommandSchema.Meta):
        """Options for the OpenAPI document. An enrolment need not say anything."""

        min_properties = 0

    currency = fields.String(
        validate=CURRENCY,
        metadata={"description": "Currency to be billed in, see `prices` of GET /v1/plans. It is fixed afterwards."},
    )
    payment_method = fields.String(
        validate=STRIPE_ID,
        metadata={"description": "A payment method of the organization, which first becomes the default"},
    )

    @post_load
    def command(self, data: dict[str, Any], **_: Any) -> ChangeCommand:
        """Return the command, which may enrol the organization."""
        return ChangeCommand(**data, enroll=True)
