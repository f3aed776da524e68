"""``charge.refunded`` and ``charge.dispute.*`` report money that went back to the customer."""

from dataclasses import replace

from gateway.stripe_api.snapshots import ChargeSnapshot, Event, Reference, referred
from handlers.registry import handles


@handles("charge.refunded")
def charge_refunded(event: Event) -> list[Reference]:
    """Return the charge. Only a lookup shows its invoice and its disputes."""
    return [replace(each, as_of=None) for each in referred(event, ChargeSnapshot.kind, "id")]


@handles(
    "charge.dispute.closed",
    "charge.dispute.created",
    "charge.dispute.funds_reinstated",
    "charge.dispute.funds_withdrawn",
    "charge.dispute.updated",
    "refund.failed",
)
def charge_in_question(event: Event) -> list[Reference]:
    """Return the charge that the dispute or refund names. Only a lookup shows whether its customer is ours."""
    return [replace(each, as_of=None, ours=True) for each in referred(event, ChargeSnapshot.kind)]
