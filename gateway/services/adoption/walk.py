"""The walk links the customers of a survey, and copies what Stripe lists of them into the mirror.

The walk runs in phases, and each phase in pages:

1. customers, each with its live subscriptions, in one transaction. An organization that was linked without its
   subscription would look as if it had none, and could buy a second one.
2. all subscriptions, for ended ones and for customers with more than ten
3. the events that arrived since the run began. Before the link, the inbox ignored those of the customer.

The transaction that merges a page also moves the cursor. The next run resumes a killed one.
"""

from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from gateway.db.models import Adoption, Organization, Subscription
from gateway.db.queries import among
from gateway.errors import NotFound
from gateway.services.adoption.lists import ListedCustomer, ListedSubscription, list_customers, list_subscriptions
from gateway.services.adoption.survey import Survey
from gateway.services.mirror.merge import merge
from gateway.services.mirror.outcome import Outcome
from gateway.services.plan_table.trials import record_trials
from gateway.services.rate_limits.stripe_budget import Priority, calling_as
from gateway.services.reconciliation import progress
from gateway.services.reconciliation.progress import Progress
from gateway.services.runtime import Gateway
from gateway.services.webhooks.replay import Selection, find_replayable, replay_events
from gateway.stripe_api.snapshots import CustomerSnapshot, Snapshot

KIND = "adoption"
LINKED, TAKEN = "linked", "taken"  # what the progress counts


@dataclass(frozen=True, kw_only=True)
class Page:
    """One page of a phase. ``cursor`` is None on the last page."""

    cursor: str | None
    objects: int
    answered_at: datetime | None = None
    merge: Callable[[Session], Counter[str]] = lambda _: Counter()
    """Merges the page in the caller's transaction, and returns what to count."""


Phase = Callable[[Gateway, Survey, Progress, str | None], Page]


def begin(gateway: Gateway) -> Progress:
    """Resume the unfinished run, or begin one. Call it before the survey, so that the run replays all later events."""
    now = gateway.clock()
    with gateway.database.transaction() as session:
        return progress.resume_or_begin(session, KIND, now, since=now)


def walk(gateway: Gateway, survey: Survey, at: Progress) -> Generator[tuple[int, Progress]]:
    """Link the customers of the survey. Yield the number of objects on each page, and the progress after it.

    Raise StripeUnavailable, or ReconciliationInProgress if another process adopts too.
    """
    source, _, place = (at.cursor or "").partition("/")
    # If the run that was killed had other claims, the pages before its cursor may hold customers to link.
    phase, _, cursor = place.partition("/") if source == survey.source.digest else (PHASE_ORDER[0], "", "")
    while not at.finished:
        with calling_as(Priority.RECONCILIATION):
            page = fetch_page(gateway, survey, at, phase, cursor or None)
        finished = page.cursor is None and phase == PHASE_ORDER[-1]
        if page.cursor is None and not finished:
            phase = PHASE_ORDER[PHASE_ORDER.index(phase) + 1]
        cursor = page.cursor or ""
        with gateway.database.transaction() as session:
            counts = page.merge(session)
            after = at.advance(page.answered_at, f"{survey.source.digest}/{phase}/{cursor}", counts, finished=finished)
            progress.store(session, at, after, gateway.clock())
        at = after
        yield page.objects, at


def fetch_page(gateway: Gateway, survey: Survey, at: Progress, phase: str, cursor: str | None) -> Page:
    """Fetch the phase's next page, or its first one if Stripe no longer knows the cursor of a run that was killed."""
    try:
        return PHASES[phase](gateway, survey, at, cursor)
    except NotFound:
        if cursor is None:
            raise
        return PHASES[phase](gateway, survey, at, None)


def walk_customers(gateway: Gateway, survey: Survey, _: Progress, cursor: str | None) -> Page:
    """Link the customers of one page."""
    page = list_customers(gateway, cursor)
    return Page(
        cursor=page.cursor,
        objects=len(page.customers),
        answered_at=page.answered_at,
        merge=lambda session: link_customers(session, gateway, survey, page.customers),
    )


def walk_subscriptions(gateway: Gateway, survey: Survey, _: Progress, cursor: str | None) -> Page:
    """Copy the subscriptions of one page."""
    page = list_subscriptions(gateway, cursor)
    return Page(
        cursor=page.cursor,
        objects=len(page.subscriptions),
        answered_at=page.answered_at,
        merge=lambda session: copy_subscriptions(session, gateway, survey, page.subscriptions),
    )


def replay_ignored_events(gateway: Gateway, _: Survey, at: Progress, __: str | None) -> Page:
    """Make the worker merge the events that the inbox ignored since the run began."""
    ignored = find_replayable(gateway, Selection(states=("ignored",), since=at.since))
    return Page(cursor=None, objects=replay_events(gateway, ignored))


PHASES: Mapping[str, Phase] = MappingProxyType(
    {"customers": walk_customers, "subscriptions": walk_subscriptions, "events": replay_ignored_events}
)
PHASE_ORDER = tuple(PHASES)


def link_customers(
    session: Session, gateway: Gateway, survey: Survey, listed: Sequence[ListedCustomer]
) -> Counter[str]:
    """Link the page's customers. Count those that were linked, and organizations that got another customer since."""
    links = survey.decision.links
    snapshots = [
        snapshot
        for each in listed
        if each.id in links and each.customer is not None
        for snapshot in build_account(each.customer, links[each.id], list(list_details(survey, each)))
    ]
    if not snapshots:
        return Counter()
    now = gateway.clock()
    # Sort the rows. Two transactions that insert the same organizations would deadlock otherwise.
    organizations = sorted(each.organization_id or "" for each in snapshots if isinstance(each, CustomerSnapshot))
    rows = [{"id": each, "created_at": now} for each in organizations]
    session.execute(insert(Organization).values(rows).on_conflict_do_nothing())
    outcomes = merge(session, snapshots, now)
    linked = [
        {"organization_id": each.organization_id or ""}
        for each, outcome in zip(snapshots, outcomes, strict=True)
        if isinstance(each, CustomerSnapshot) and outcome is not Outcome.UNKNOWN
    ]
    if linked:
        session.execute(insert(Adoption).values(linked).on_conflict_do_nothing())
        record_trials(session, [each["organization_id"] for each in linked], "adopted", now)
    return Counter({LINKED: len(linked), TAKEN: len(organizations) - len(linked)})


def list_details(survey: Survey, listed: ListedCustomer) -> Generator[Snapshot]:
    """Yield what Stripe showed of a customer besides itself."""
    yield from listed.others
    for each in listed.subscriptions:
        yield each.subscription
        yield from each.others
    yield from survey.unpaid_invoices[listed.id]


def build_account(customer: CustomerSnapshot, organization_id: str, details: Sequence[Snapshot]) -> list[Snapshot]:
    """Return a customer that names its organization, followed by its details.

    The merge applies states in order of time, and drops an invoice that comes before the link. So the customer gets the
    earliest of these times. No change is lost, because the run replays the events since it began.
    """
    as_of = min(each.seen.as_of for each in (customer, *details))
    named = replace(customer, organization_id=organization_id, seen=replace(customer.seen, as_of=as_of))
    return [named, *details]


def copy_subscriptions(
    session: Session, gateway: Gateway, survey: Survey, listed: Sequence[ListedSubscription]
) -> Counter[str]:
    """Merge those subscriptions of the survey's customers that the mirror lacks, or has in another state."""
    ids = [each.subscription.id for each in listed]
    query = select(Subscription.id, Subscription.trail[func.cardinality(Subscription.trail)]).where(
        among(Subscription.id, ids)
    )
    known: dict[str, str] = dict(session.execute(query).all())
    snapshots: list[Snapshot] = []
    for each in listed:
        subscription = each.subscription
        if subscription.owner in survey.targets and known.get(subscription.id) != subscription.digest:
            snapshots += [subscription, *each.others]
    merge(session, snapshots, gateway.clock())
    return Counter()
