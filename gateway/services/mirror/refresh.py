"""Retrieve an object's state from Stripe where the events alone do not show it."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING

import structlog
from sqlalchemy import select
from stripe import StripeClient, StripeObject

from gateway.db.models import Invoice, Mirrored, Organization
from gateway.db.session import is_locked
from gateway.errors import DatabaseUnavailable, NotFound, StripeRejected, StripeUnavailable
from gateway.services.backoff import compute_wait
from gateway.services.mirror.merge import merge
from gateway.services.mirror.outcome import Outcome
from gateway.services.mirror.refresh_jobs import defer_refresh
from gateway.services.mirror.tables import KINDS
from gateway.services.rate_limits.stripe_budget import Priority, calling_as
from gateway.services.runtime import Gateway
from gateway.stripe_api.client import is_key_refused, is_nothing_upcoming, stripe_call
from gateway.stripe_api.snapshots import (
    Answer,
    InvoiceSnapshot,
    Seen,
    Snapshot,
    Source,
    UnreadableObject,
    body_of,
    headers_of,
)

if TYPE_CHECKING:
    from stripe.params import InvoicePaymentListParamsPayment


def retrieve_holder(stripe: StripeClient, holder_id: str) -> StripeObject:
    """Retrieve a subscription or a customer with its discounts and their coupons.

    Stripe expands four levels at most, so the discounts of items take another call.
    https://docs.stripe.com/api/expanding_objects
    """
    if not holder_id.startswith("sub_"):
        return stripe.v1.customers.retrieve(holder_id, {"expand": ["discount.source.coupon"]})
    found = stripe.v1.subscriptions.retrieve(holder_id, {"expand": ["discounts.source.coupon"]})
    if any(item.discounts for item in found["items"].data):
        found["items"] = stripe.v1.subscription_items.list(
            {"subscription": holder_id, "expand": ["data.discounts.source.coupon"], "limit": 100}
        )
    return found


def retrieve_charge(stripe: StripeClient, charge_id: str) -> StripeObject:
    """Retrieve a charge with its disputes and with the invoice that it paid, which the charge does not name.

    https://docs.stripe.com/api/invoice-payment
    """
    found = stripe.v1.charges.retrieve(charge_id)
    found["disputes"] = stripe.v1.disputes.list({"charge": charge_id, "limit": 100})
    if found.payment_intent is not None:  # a charge of an older program has none
        paid: InvoicePaymentListParamsPayment = {"type": "payment_intent", "payment_intent": str(found.payment_intent)}
        found["invoice_payments"] = stripe.v1.invoice_payments.list({"payment": paid, "limit": 1})
    return found


def retrieve_invoice(stripe: StripeClient, invoice_id: str) -> StripeObject:
    """Retrieve an invoice with all its lines and its payments. Its first answer shows ten lines.

    Only this answer shows whether a payment is in progress. A webhook's invoice has no payments.
    """
    found = stripe.v1.invoices.retrieve(invoice_id, {"expand": [PAYMENTS]})
    if found.lines.has_more:
        lines = stripe.v1.invoices.line_items.list(invoice_id, {"limit": 100})
        found.lines["data"], found.lines["has_more"] = list(lines.auto_paging_iter()), False
    return found


RETRIEVE: Mapping[str, Callable[[StripeClient, str], StripeObject]] = MappingProxyType(
    {
        "charge": retrieve_charge,
        "customer": lambda stripe, stripe_id: stripe.v1.customers.retrieve(stripe_id),
        "discounts": retrieve_holder,
        "invoice": retrieve_invoice,
        "payment_method": lambda stripe, stripe_id: stripe.v1.payment_methods.retrieve(stripe_id),
        "price": lambda stripe, stripe_id: stripe.v1.prices.retrieve(stripe_id),
        "product": lambda stripe, stripe_id: stripe.v1.products.retrieve(stripe_id),
        "subscription": lambda stripe, stripe_id: stripe.v1.subscriptions.retrieve(stripe_id),
        # An announced invoice has no id yet. A preview of the subscription's next invoice shows the same.
        "upcoming_invoice": lambda stripe, stripe_id: stripe.v1.invoices.create_preview({"subscription": stripe_id}),
    }
)

PAYMENTS = "payments.data.payment.payment_intent"
FIRST_RETRY, LONGEST_RETRY = timedelta(seconds=1), timedelta(hours=1)

log = structlog.get_logger()


def refresh(gateway: Gateway, kind: str, stripe_id: str, attempt: int = 1) -> Outcome | None:
    """Retrieve one object, merge the answer and return the outcome. Return None if Stripe has no such object.

    ``attempt`` counts how often in a row the object was retrieved. Raise StripeUnavailable. Raise
    UnreadableObject if the answer has an unknown shape.
    """
    if (snapshot := retrieve(gateway, kind, stripe_id)) is None:
        log.warning("refresh_found_nothing", kind=kind, stripe_id=stripe_id)
        return None
    with gateway.database.transaction() as session:
        [outcome] = merge(session, [snapshot], gateway.clock(), attempt=attempt)
    return outcome


def retrieve(gateway: Gateway, kind: str, stripe_id: str) -> Snapshot | None:
    """Return Stripe's state of one object, or None if Stripe has no such object. Raise as ``refresh`` does.

    The stored revision is read before the call to Stripe. If it is the same when the answer is merged, the answer is
    newer than the stored state. If it has changed, the merge may enqueue another refresh.
    """
    after_revision = load_revision(gateway, kind, stripe_id)
    try:
        with stripe_call():
            answer = RETRIEVE[kind](gateway.stripe, stripe_id)
    except NotFound:
        return find_deleted_draft(gateway, stripe_id, after_revision) if kind == InvoiceSnapshot.kind else None
    except StripeRejected as error:
        if is_nothing_upcoming(error):
            return None
        raise
    try:
        return KINDS[kind].snapshot.from_answer(
            answer, cause=f"refresh of {stripe_id}", source=Source.REFRESH, after_revision=after_revision
        )
    except UnreadableObject:
        # The event is already marked done. Only this log line and the failed job show that the state is unknown.
        log.exception("refresh_unreadable", kind=kind, stripe_id=stripe_id)
        raise


def find_deleted_draft(gateway: Gateway, invoice_id: str, after_revision: int | None) -> Snapshot | None:
    """Return the state of a draft in the mirror that Stripe no longer has, or None if there is no such draft.

    Only drafts can be deleted, and Stripe keeps nothing of them. It still has the customer, unless the key belongs to
    another account. https://docs.stripe.com/api/invoices/delete
    """
    query = (
        select(Invoice, Organization.stripe_customer_id)
        .join(Organization, Organization.id == Invoice.organization_id)
        .where(Invoice.id == invoice_id, Invoice.status == "draft", Organization.stripe_customer_id.is_not(None))
    )
    with gateway.database.reading() as session:
        found = session.execute(query).one_or_none()
    if found is None:
        return None
    draft, customer_id = found
    try:
        with stripe_call():
            customer = gateway.stripe.v1.customers.retrieve(customer_id or "")
    except NotFound:
        return None
    known = {name: getattr(draft, name) for name in KINDS[InvoiceSnapshot.kind].columns}
    seen = Seen.in_answer(
        customer, cause=f"refresh of {invoice_id}", source=Source.REFRESH, after_revision=after_revision
    )
    known |= {"lines": None, "period_end": draft.created}  # a deleted draft has none, and is never compared
    return InvoiceSnapshot(**known | {"id": invoice_id, "customer_id": customer_id, "status": "deleted", "seen": seen})


def retrieve_all(gateway: Gateway, objects: Iterable[tuple[str, str]]) -> list[Snapshot]:
    """Return Stripe's states of the objects, each given by kind and id, without those that Stripe does not have."""
    found = [retrieve(gateway, kind, stripe_id) for kind, stripe_id in objects]
    return [each for each in found if each is not None]


def defer_refresh_if_outdated(gateway: Gateway, kind: str, stripe_id: str, changed_at: datetime) -> None:
    """Enqueue the refresh of an object that an event only named, unless the mirror has its state since then.

    This is the job that ``refresh_jobs.lookup_job`` builds. ``run_refresh_job`` continues.
    """
    model: type[Mirrored] = KINDS[kind].model
    query = select(model.as_of).where(model.__table__.columns[KINDS[kind].key] == stripe_id)
    with gateway.database.transaction() as session:
        as_of = session.scalar(query)
        if as_of is None or as_of < changed_at:
            defer_refresh(session, kind, stripe_id)


def run_refresh_job(gateway: Gateway, kind: str, stripe_id: str, attempt: int) -> None:
    """Run the refresh job that ``refresh_jobs.refresh_job`` builds.

    If Stripe is unavailable, limits our calls or refuses the key, enqueue a successor for later. Do the same if the
    organization stays locked, so that the job does not hold a thread that other organizations need.
    """
    try:
        with calling_as(Priority.REFRESH):
            refresh(gateway, kind, stripe_id, attempt)
    except (StripeUnavailable, StripeRejected, DatabaseUnavailable) as error:
        if isinstance(error, DatabaseUnavailable) and not is_locked(error.__cause__):
            raise
        # The event is already marked done. Without a successor, no job would retry with the right key.
        if isinstance(error, StripeRejected) and not is_key_refused(error):
            raise
        log.warning("refresh_postponed", kind=kind, stripe_id=stripe_id, attempt=attempt, exc_info=True)
        retry_at = gateway.clock() + compute_wait(FIRST_RETRY, LONGEST_RETRY, doublings=attempt)
        with gateway.database.transaction() as session:
            defer_refresh(session, kind, stripe_id, at=retry_at, attempt=attempt + 1)


def merge_answer(
    gateway: Gateway, snapshot: type[Snapshot], answer: Answer, *, cause: str, after_revision: int | None = None
) -> None:
    """Merge the answer to a call that changed an object. Read it as ``read_answer`` does."""
    merge_snapshots(gateway, *read_answer(gateway, snapshot, answer, cause=cause, after_revision=after_revision))


def read_answer(
    gateway: Gateway, snapshot: type[Snapshot], answer: Answer, *, cause: str, after_revision: int | None = None
) -> list[Snapshot]:
    """Return the state in the answer to a call that changed an object.

    Stripe replays an answer with the first body and the current ``Date``. Such a body shows what the call did then,
    not what is true now, so the object is retrieved instead. https://docs.stripe.com/api/idempotent_requests
    """
    if is_replayed(answer):
        found = retrieve(gateway, snapshot.kind, str(body_of(answer)["id"]))
        return [found] if found is not None else []
    return [snapshot.from_answer(answer, cause=cause, after_revision=after_revision)]


def is_replayed(answer: Answer) -> bool:
    """Return whether Stripe carried the call out earlier and repeats its answer."""
    return headers_of(answer).get("Idempotent-Replayed") == "true"


def merge_snapshots(gateway: Gateway, *snapshots: Snapshot) -> None:
    """Merge states that Stripe has shown, in a transaction of their own."""
    with gateway.database.transaction() as session:
        merge(session, snapshots, gateway.clock())


def load_revision(gateway: Gateway, kind: str, stripe_id: str) -> int | None:
    """Return the revision of the object's row, or None if the mirror has no row."""
    model: type[Mirrored] = KINDS[kind].model
    query = select(model.revision).where(model.__table__.columns[KINDS[kind].key] == stripe_id)
    with gateway.database.reading() as session:
        return session.scalar(query)
