"""The phases of the drift walk. Each compares one page and returns its differences and the next cursor."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement, and_, exists, or_, select, union
from sqlalchemy.orm import InstrumentedAttribute, Session
from stripe import StripeResponse

from gateway.db.models import Invoice, Organization, PaymentMethod, Subscription
from gateway.errors import StripeRejected
from gateway.services.mirror.refresh import retrieve
from gateway.services.plan_table.derive import PlanState, never_enrolled
from gateway.services.plan_table.rows import OrganizationRows, load_organization_rows, rank_plans
from gateway.services.plan_table.selection import UNMAPPED, Plans, list_duplicates
from gateway.services.plan_table.standing import OWES_DEBTS
from gateway.services.plan_table.writer import derive_plan
from gateway.services.reconciliation import compare
from gateway.services.reconciliation.differences import Cause, Difference, Pair, compare_fields
from gateway.services.runtime import Gateway
from gateway.stripe_api.client import is_key_refused, stripe_call
from gateway.stripe_api.events import JsonObject
from gateway.stripe_api.snapshots import (
    ENDED,
    SETTLED,
    Answer,
    CustomerSnapshot,
    InvoiceSnapshot,
    PaymentMethodSnapshot,
    Seen,
    Snapshot,
    SubscriptionSnapshot,
    UnreadableObject,
    body_of,
    id_of,
)

PAGE_SIZE = 100  # the most that Stripe returns in one page

UnsettledStatus = Literal["draft", "open", "uncollectible"]
UNSETTLED_STATUSES: Sequence[UnsettledStatus] = ("draft", "open", "uncollectible")
FindUnseen = Callable[[Session, Collection[str]], set[str]]
"""Returns those of the ids that were not in Stripe's lists."""


@dataclass(frozen=True, kw_only=True)
class Page:
    """The result of one page. ``cursor`` is None at the end of the phase."""

    cursor: str | None
    looked_at: int
    differences: list[Difference]
    answered_at: datetime | None = None
    seen: list[str] = field(default_factory=list)


Phase = Callable[[Gateway, str | None, FindUnseen], Page]


def compare_customers(gateway: Gateway, cursor: str | None, _: FindUnseen) -> Page:
    """Compare a page of Stripe's customers and their default payment methods.

    Ignore those that belong to no organization of ours.
    """
    page = fetch_list(gateway, "customers", cursor, expand=["data.invoice_settings.default_payment_method"])
    return compare_listed(gateway, CustomerSnapshot, page)


def compare_subscriptions(gateway: Gateway, cursor: str | None, _: FindUnseen) -> Page:
    """Compare a page of Stripe's subscriptions, including ended ones, and the payment methods that they name."""
    page = fetch_list(gateway, "subscriptions", cursor, status="all", expand=["data.default_payment_method"])
    return compare_listed(gateway, SubscriptionSnapshot, page)


def compare_invoices(status: UnsettledStatus, gateway: Gateway, cursor: str | None, _: FindUnseen) -> Page:
    """Compare a page of Stripe's invoices of one status. There are few of each status that is not settled."""
    return compare_listed(gateway, InvoiceSnapshot, fetch_list(gateway, "invoices", cursor, status=status))


def fetch_list(gateway: Gateway, kind: str, cursor: str | None, **params: Any) -> StripeResponse:
    """Return a page of one of Stripe's lists as JSON, of which the SDK would make thousands of objects."""
    if cursor is not None:
        params["starting_after"] = cursor
    with stripe_call():
        answer: StripeResponse = gateway.stripe.raw_request("get", f"/v1/{kind}", limit=PAGE_SIZE, **params)
    return answer


def compare_unlisted_customers(gateway: Gateway, cursor: str | None, find_unseen: FindUnseen) -> Page:
    """Compare customers that are alive in the mirror but were not in Stripe's list.

    Stripe deleted them, does not know them, or created them after the list was read.
    """
    living = (Organization.stripe_customer_id.is_not(None), Organization.deleted.is_(False))
    with gateway.database.reading() as session:
        ids = load_next_ids(session, Organization.stripe_customer_id, living, cursor)
        suspects = find_unseen(session, ids)
    return compare_unlisted(gateway, CustomerSnapshot, ids, suspects)


def compare_unlisted_subscriptions(gateway: Gateway, cursor: str | None, find_unseen: FindUnseen) -> Page:
    """Compare subscriptions that are alive in the mirror but were not in Stripe's list.

    Stripe does not know them, has them on a test clock, or created them after the list was read.
    """
    with gateway.database.reading() as session:
        ids = load_next_ids(session, Subscription.id, (Subscription.status.not_in(ENDED),), cursor)
        suspects = find_unseen(session, ids)
    return compare_unlisted(gateway, SubscriptionSnapshot, ids, suspects)


def compare_unlisted_payment_methods(gateway: Gateway, cursor: str | None, find_unseen: FindUnseen) -> Page:
    """Compare payment methods on file in the mirror that no customer and no subscription in Stripe's lists names.

    Somebody may have detached them. A payment method that the mirror lacks is found where Stripe charges it, or
    by the setup intent that attached it.
    """
    with gateway.database.reading() as session:
        ids = load_next_ids(session, PaymentMethod.id, (PaymentMethod.detached.is_(False),), cursor)
        suspects = find_unseen(session, ids)
    return compare_unlisted(gateway, PaymentMethodSnapshot, ids, suspects)


def compare_unpaid_invoices(gateway: Gateway, cursor: str | None, find_unseen: FindUnseen) -> Page:
    """Compare unsettled invoices that were not in Stripe's lists, or of which only a lookup shows the payments.

    The latest invoice of a subscription is one of them if Stripe says ``past_due`` and the mirror does not have it as
    unpaid.
    """
    latest = select(Subscription.latest_invoice_id).where(
        Subscription.status == "past_due",
        Subscription.latest_invoice_id.is_not(None),
        Subscription.latest_invoice_id.not_in(select(Invoice.id).where(Invoice.status.in_(SETTLED))),
    )
    with gateway.database.reading() as session:
        unsettled = union(select(Invoice.id).where(Invoice.status.not_in(SETTLED)), latest).subquery()
        ids = load_next_ids(session, unsettled.c.id, (), cursor)
        # The lists do not show whether a payment is in progress. A lookup shows that a known payment has ended.
        # Otherwise, it only decides the debt of a plan (``plan_table.writer.find_undecided_invoices``).
        is_decisive = exists().where(
            Subscription.id == Invoice.subscription_id,
            or_(Subscription.had_plan, Subscription.change_id.is_not(None)),
            Subscription.status.in_(OWES_DEBTS),
            or_(  # not for a change that waits for its payment (``plan_table.standing.pays_for_change``)
                Invoice.billing_reason.is_distinct_from("subscription_update"),
                Subscription.pending_until.is_(None),
                Subscription.latest_invoice_id.is_distinct_from(Invoice.id),
            ),
            Organization.id == Subscription.organization_id,
            Organization.deleted.is_(False),
        )
        undecided = select(Invoice.id).where(
            Invoice.id.in_(ids),
            Invoice.status == "open",
            Invoice.attempted,
            Invoice.amount_remaining > 0,
            Invoice.next_payment_attempt.is_(None),
            or_(Invoice.payment_under_way.is_(True), and_(Invoice.payment_under_way.is_(None), is_decisive)),
        )
        suspects = find_unseen(session, ids) | set(session.scalars(undecided))
    return compare_unlisted(gateway, InvoiceSnapshot, ids, suspects)


def compare_plan_table(gateway: Gateway, cursor: str | None, _: FindUnseen) -> Page:
    """Compare a page of the plan table with what the mirror implies."""
    with gateway.database.reading() as session:
        ids = load_next_ids(session, Organization.id, (Organization.stripe_customer_id.is_not(None),), cursor)
    return Page(cursor=next_cursor(ids), looked_at=len(ids), differences=compare_plans(gateway, ids))


def compare_plans(gateway: Gateway, ids: Sequence[str]) -> list[Difference]:
    """Return how the plans of these organizations differ from what the mirror implies."""
    with gateway.database.transaction() as session:
        # Read one snapshot of the database. A concurrent merge would look like a difference otherwise.
        session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
        organizations = session.scalars(select(Organization).where(Organization.id.in_(ids))).all()
        accounts, plan_of_product = load_organization_rows(session, organizations)
        plans = rank_plans(session, plan_of_product)
    compared = [compare_plan(account, derive_plan(account, plans), plans.floor) for account in accounts.values()]
    found = [difference for difference in compared if difference is not None]
    return found + [duplicate for account in accounts.values() for duplicate in name_duplicates(account, plans)]


def compare_plan(account: OrganizationRows, expected: PlanState, floor: str) -> Difference | None:
    """Return how an organization's plan differs from what the mirror implies, or that it is unmapped, or None."""
    organization = account.organization
    ours = PlanState.of_row(account.plan_row) if account.plan_row is not None else never_enrolled(floor)
    pairs = compare_fields(asdict(ours), asdict(expected))
    fields: dict[str, Pair] = {f"plan_table.{name}": pair for name, pair in pairs.items()}
    if not fields and expected.requested_plan != UNMAPPED:
        return None
    subscription_id = expected.subscription_id
    return Difference(
        kind=CustomerSnapshot.kind if subscription_id is None else SubscriptionSnapshot.kind,
        stripe_id=subscription_id or organization.stripe_customer_id or "",
        organization_id=organization.id,
        cause=Cause.ALTERED if fields else Cause.UNMAPPED,
        fields=fields,
    )


def name_duplicates(account: OrganizationRows, plans: Plans) -> list[Difference]:
    """Return the subscriptions that an organization has beside the one that its plan follows from."""
    return [
        Difference(
            kind=SubscriptionSnapshot.kind,
            stripe_id=each.id,
            organization_id=account.organization.id,
            cause=Cause.DUPLICATE_SUBSCRIPTION,
            fields={},
        )
        for each in list_duplicates(account.subscriptions, plans)
    ]


def compare_listed(gateway: Gateway, kind: type[Snapshot], answer: Answer) -> Page:
    """Compare one page of a list from Stripe, and the payment methods that it expands, with the mirror."""
    seen, page = Seen.in_answer(answer, cause="drift"), body_of(answer)
    objects: list[JsonObject] = page["data"]
    methods = {method["id"]: method for each in objects if isinstance(method := read_default_method(each), dict)}
    snapshots: list[Snapshot] = []
    unreadable: dict[str, dict[str, str]] = {kind.kind: {}, PaymentMethodSnapshot.kind: {}}  # id -> customer
    for found, each in [(kind, each) for each in objects] + [
        (PaymentMethodSnapshot, each) for each in methods.values()
    ]:
        try:
            snapshots.append(found.read(each, seen))
        except UnreadableObject:
            unreadable[found.kind][each["id"]] = id_of(each.get("customer")) or ""
    with gateway.database.reading() as session:
        differences = compare.find_differences(session, snapshots)
        differences += compare.find_misplaced_customers(session, snapshots)
        for name, customers in unreadable.items():
            causes = dict.fromkeys(customers, Cause.UNREADABLE)
            differences += compare.uncomparable(session, name, causes, customers=customers)
    ids = [str(each["id"]) for each in objects]
    return Page(
        cursor=ids[-1] if page["has_more"] else None,
        looked_at=len(ids),
        answered_at=seen.as_of,
        differences=differences,
        seen=[*ids, *methods],
    )


def read_default_method(holder: JsonObject) -> object:
    """Return the payment method that a customer, subscription or invoice names, expanded where the list expands it."""
    return holder.get("default_payment_method") or (holder.get("invoice_settings") or {}).get("default_payment_method")


def compare_unlisted(gateway: Gateway, kind: type[Snapshot], ids: Sequence[str], suspects: Collection[str]) -> Page:
    """Return the page of ``ids`` on which only the suspects are compared."""
    return Page(cursor=next_cursor(ids), looked_at=len(suspects), differences=compare_each(gateway, kind, suspects))


def compare_each(gateway: Gateway, kind: type[Snapshot], suspects: Collection[str]) -> list[Difference]:
    """Retrieve each suspect from Stripe. Report those that are gone and compare the others."""
    snapshots: list[Snapshot] = []
    absent: dict[str, Cause] = {}
    for stripe_id in sorted(suspects):
        try:
            snapshot = retrieve(gateway, kind.kind, stripe_id)
        except (UnreadableObject, StripeRejected) as error:
            if isinstance(error, StripeRejected) and is_key_refused(error):  # then Stripe refuses all objects
                raise
            absent[stripe_id] = Cause.UNREADABLE
            continue
        if snapshot is None:
            absent[stripe_id] = Cause.GONE
        else:
            snapshots.append(snapshot)
    if not suspects:
        return []
    with gateway.database.reading() as session:
        differences = compare.find_differences(session, snapshots)
        return differences + compare.uncomparable(session, kind.kind, absent, customers={})


def load_next_ids(
    session: Session,
    column: InstrumentedAttribute[Any] | ColumnElement[Any],
    where: Sequence[ColumnElement[bool]],
    cursor: str | None,
) -> list[str]:
    """Return the ids of the next page of a table."""
    query = select(column).where(*where).order_by(column).limit(PAGE_SIZE)
    return list(session.scalars(query if cursor is None else query.where(column > cursor)))


def next_cursor(ids: Sequence[str]) -> str | None:
    """Return the cursor of the next page, or None if this page was not full."""
    return ids[-1] if len(ids) == PAGE_SIZE else None
