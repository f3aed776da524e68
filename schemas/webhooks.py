"""The part of a Stripe event that the inbox needs; the rest is kept as raw bytes."""

from typing import Any, NamedTuple

from marshmallow import EXCLUDE, Schema, ValidationError, fields, missing, post_load, pre_load, validate

from schemas.fields import STRIPE_ID, StrictBoolean

EVENT_TYPE = validate.Regexp(r"\A[a-z0-9_.]{1,255}\Z")
API_VERSION = validate.Regexp(r"\A[A-Za-z0-9._-]{1,64}\Z")
UNIX_SECONDS = validate.Range(min=0, max=2**33)


class WebhookEnvelope(NamedTuple):
    """What is known of an event before it is looked into. ``created`` is in Unix seconds."""

    id: str
    type: str
    created: int
    livemode: bool
    api_version: str | None
    account: str | None
    object_id: str | None


class WebhookEnvelopeSchema(Schema):
    """https://docs.stripe.com/api/events/object ."""

    class Meta:
        """Stripe adds fields at any time."""

        unknown = EXCLUDE

    id = fields.String(required=True, validate=STRIPE_ID)
    object = fields.String(required=True, validate=validate.Equal("event"))
    type = fields.String(required=True, validate=EVENT_TYPE)
    created = fields.Integer(required=True, strict=True, validate=UNIX_SECONDS)
    livemode = StrictBoolean(required=True)
    api_version = fields.String(load_default=None, allow_none=True, validate=API_VERSION)
    account = fields.String(load_default=None, allow_none=True, validate=STRIPE_ID)
    # Products, plans and coupons may have ids that people chose: `gold-plan`, `25%OFF`. An upcoming invoice has none.
    object_id = fields.String(load_default=None, validate=validate.Regexp(r"\A[^\0]{1,255}\Z"))

    @pre_load
    def flatten(self, event: Any, **_: Any) -> dict[str, Any]:
        """Take the id from within ``data.object``: nested schemas cost as much as all the rest of a delivery's."""
        try:
            return {**event, "object_id": event["data"]["object"].get("id", missing)}
        except (AttributeError, KeyError, TypeError) as error:
            raise ValidationError("Missing data for required field.", "data") from error

    @post_load
    def envelope(self, data: dict[str, Any], **_: Any) -> WebhookEnvelope:
        """Flatten it."""
        del data["object"]
        return WebhookEnvelope(**data)
