"""Recognize the customers that the gateway itself has just created or listed."""

from gateway.stripe_api.snapshots import CustomerSnapshot, Source


def customer_key_prefix(organization_id: str) -> str:
    """Return the prefix of the idempotency keys under which the gateway creates an organization's customer."""
    return f"customer:{organization_id}:"


def is_made_by_gateway(customer: CustomerSnapshot, organization_id: str) -> bool:
    """Return whether the gateway has just created the customer or listed its objects. The mirror then lacks none."""
    key = customer.seen.request_key or ""
    return customer.seen.source is Source.ANSWER or key.startswith(customer_key_prefix(organization_id))
