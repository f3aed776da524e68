"""Pages of Stripe's lists. One call shows a hundred customers with their cards, subscriptions and latest invoices.

Stripe expands at most four levels, and shows at most ten subscriptions of a customer.
https://docs.stripe.com/api/expanding_objects
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, cast

import structlog

from gateway.services.plan_table.attribution import ADOPTED
from gateway.services.runtime import Gateway
from gateway.stripe_api.client import TOOK, stripe_call
from gateway.stripe_api.events import JsonObject
from gateway.stripe_api.snapshots import (
    CustomerSnapshot,
    InvoiceSnapshot,
    PaymentMethodSnapshot,
    Seen,
    Snapshot,
    Source,
    SubscriptionSnapshot,
    UnreadableObject,
)

PAGE_SIZE = 100  # the most that Stripe returns in one page

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class ListedSubscription:
    """A subscription, with the payment method and the invoice that the same answer shows."""

    subscription: SubscriptionSnapshot
    others: Sequence[Snapshot]


@dataclass(frozen=True, kw_only=True)
class ListedCustomer:
    """A customer with its default payment method and its live subscriptions, from one answer."""

    id: str
    metadata: Mapping[str, str]
    customer: CustomerSnapshot | None
    """None if this version cannot read the customer or one of its subscriptions."""
    subscriptions: Sequence[ListedSubscription] = ()
    others: Sequence[Snapshot] = ()


@dataclass(frozen=True, kw_only=True)
class CustomerPage:
    """A page of customers. ``cursor`` is None on the last page."""

    cursor: str | None
    answered_at: datetime
    customers: Sequence[ListedCustomer]


@dataclass(frozen=True, kw_only=True)
class SubscriptionPage:
    """A page of subscriptions. ``cursor`` is None on the last page."""

    cursor: str | None
    answered_at: datetime
    subscriptions: Sequence[ListedSubscription]


def list_customers(gateway: Gateway, cursor: str | None) -> CustomerPage:
    """Return a page of Stripe's customers. Stripe does not list those on test clocks."""
    expand = [
        "data.invoice_settings.default_payment_method",
        "data.subscriptions.data.default_payment_method",
        "data.subscriptions.data.latest_invoice",
    ]
    page = fetch_page(gateway, "/v1/customers", cursor, expand=expand)
    return CustomerPage(
        cursor=page.cursor,
        answered_at=page.seen.as_of,
        customers=[read_customer(each, page.seen) for each in page.objects],
    )


def list_subscriptions(gateway: Gateway, cursor: str | None) -> SubscriptionPage:
    """Return a page of Stripe's subscriptions, also of ended ones. Leave out those that are unreadable."""
    expand = ["data.default_payment_method", "data.latest_invoice"]
    page = fetch_page(gateway, "/v1/subscriptions", cursor, status="all", expand=expand)
    found = []
    for each in page.objects:
        try:
            found.append(read_subscription(each, page.seen))
        except UnreadableObject:
            log.warning("adoption_unreadable", stripe_id=each["id"], exc_info=True)
    return SubscriptionPage(cursor=page.cursor, answered_at=page.seen.as_of, subscriptions=found)


def list_unpaid_invoices(gateway: Gateway) -> Iterator[InvoiceSnapshot]:
    """Yield every invoice that is owed. Leave out those that are unreadable."""
    for status in ("open", "uncollectible"):
        cursor, is_last = None, False
        while not is_last:
            page = fetch_page(gateway, "/v1/invoices", cursor, status=status)
            for each in page.objects:
                try:
                    yield InvoiceSnapshot.read(each, page.seen)
                except UnreadableObject:
                    log.warning("adoption_unreadable", stripe_id=each["id"], exc_info=True)
            cursor, is_last = page.cursor, page.cursor is None


@dataclass(frozen=True, kw_only=True)
class RawPage:
    """A page of a list, as the JSON that Stripe sent."""

    cursor: str | None
    objects: Sequence[JsonObject]
    seen: Seen


def fetch_page(gateway: Gateway, path: str, cursor: str | None, **params: Any) -> RawPage:
    """Return a page of a list. The SDK's objects would take most of the run's time, so it builds none."""
    if cursor is not None:
        params["starting_after"] = cursor
    with stripe_call():
        answer = gateway.stripe.raw_request("get", path, limit=PAGE_SIZE, **params)
    page = cast("dict[str, Any]", answer.data)
    return RawPage(
        cursor=str(page["data"][-1]["id"]) if page["has_more"] else None,
        objects=page["data"],
        seen=date_to_beginning(answer.headers),
    )


def date_to_beginning(headers: Mapping[str, str]) -> Seen:
    """Return the origin of an answer, dated to the moment at which the call began.

    A page takes Stripe long, and an event from that time may be newer than the page. With this date the merge applies
    such an event. With the answer's own date, it would retrieve each of the hundred objects once more.
    """
    began_at = parsedate_to_datetime(headers["Date"]) - timedelta(seconds=float(headers[TOOK]))
    return Seen(as_of=began_at.replace(microsecond=0), source=Source.ANSWER, cause=ADOPTED)


def read_customer(stripe_object: JsonObject, seen: Seen) -> ListedCustomer:
    """Read a customer and what its answer expands."""
    stripe_id, metadata = stripe_object["id"], stripe_object.get("metadata") or {}
    default = (stripe_object.get("invoice_settings") or {}).get("default_payment_method")
    try:
        return ListedCustomer(
            id=stripe_id,
            metadata=metadata,
            customer=CustomerSnapshot.read(stripe_object, seen),
            subscriptions=[read_subscription(each, seen) for each in stripe_object["subscriptions"]["data"]],
            others=[PaymentMethodSnapshot.read(default, seen)] if default else [],
        )
    except UnreadableObject:
        log.warning("adoption_unreadable", stripe_id=stripe_id, exc_info=True)
        return ListedCustomer(id=stripe_id, metadata=metadata, customer=None)


def read_subscription(stripe_object: JsonObject, seen: Seen) -> ListedSubscription:
    """Read a subscription and what its answer expands. Raise UnreadableObject."""
    method, invoice = stripe_object["default_payment_method"], stripe_object["latest_invoice"]
    others: list[Snapshot] = [PaymentMethodSnapshot.read(method, seen)] if method else []
    if isinstance(invoice, dict):  # Stripe leaves the id of an invoice that was deleted
        others.append(InvoiceSnapshot.read(invoice, seen))
    return ListedSubscription(subscription=SubscriptionSnapshot.read(stripe_object, seen), others=others)
