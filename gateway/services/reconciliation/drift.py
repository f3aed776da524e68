"""The drift walk: Stripe's customers and subscriptions, compared with the mirror and the plan table, and healed.

In phases, each in pages: Stripe's lists of customers and of subscriptions; what is alive here and was in neither list;
the unpaid invoices that decide a plan, one by one; the plan table against the mirror. After each page its differences
are healed, then the place reached is stored.

A list only tells that something differs. It is never merged itself: a page takes Stripe long enough to be older than
a webhook that was stored meanwhile. What differs is refreshed, and the refresh knows how to tell.
"""

from collections import Counter
from collections.abc import Collection, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from types import MappingProxyType

import structlog
from sqlalchemy.orm import Session

from gateway.errors import NotFound, StripeRejected
from gateway.services.mirror.merge import Outcome
from gateway.services.mirror.refresh import refresh
from gateway.services.reconciliation import drift_phases, progress
from gateway.services.reconciliation.differences import Cause, Difference, Resolution
from gateway.services.reconciliation.drift_phases import FindUnseen, Page, Phase
from gateway.services.reconciliation.progress import Progress
from gateway.services.runtime import Gateway
from gateway.services.stripe_budget import Priority, calling_as
from gateway.stripe_api.snapshots import UnreadableObject

KIND = "drift"
INTERVAL = timedelta(hours=23, minutes=30)  # a day, less than the hour between two looks at the clock
PHASES: Mapping[str, Phase] = MappingProxyType(
    {
        "customers": drift_phases.compare_customers,
        "subscriptions": drift_phases.compare_subscriptions,
        "unlisted_customers": drift_phases.compare_unlisted_customers,
        "unlisted_subscriptions": drift_phases.compare_unlisted_subscriptions,
        "unpaid_invoices": drift_phases.compare_unpaid_invoices,
        "plan_table": drift_phases.compare_plan_table,
    }
)
PHASE_ORDER = tuple(PHASES)

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class WalkedPage:
    """After one page: how far the walk is, and what that page brought."""

    progress: Progress
    differences: list[Difference] = field(default_factory=list)


def walk(gateway: Gateway, *, dry_run: bool = False) -> Generator[WalkedPage]:
    """Walk all phases; gives the state after each page, which is healed and stored by then.

    An unfinished walk is gone on with; a ``dry_run`` begins anew, heals nothing and writes nothing. May be left after
    any page. Raises StripeUnavailable, and ReconciliationInProgress if another process walks as well.

    Counts: how many objects each phase has looked at, and how many differences there were of each class and fate.
    """
    with gateway.database.transaction() as session:
        at = Progress() if dry_run else progress.resume_or_begin(session, KIND, gateway.clock())
    seen_dry: set[str] = set()
    run = at.id

    def find_unseen(session: Session, ids: Collection[str]) -> set[str]:
        return progress.find_unseen(session, run, ids) - seen_dry

    while not at.finished:
        phase, cursor = split_cursor(at.cursor)
        with calling_as(Priority.RECONCILIATION):
            page = fetch_page(gateway, phase, cursor, find_unseen)
            differences = [resolve(gateway, each, dry_run=dry_run) for each in page.differences]
        after = advance(at, phase, page, differences)
        if dry_run:
            seen_dry.update(page.seen)
        else:
            commit_page(gateway, at, after, page)
        at = after
        yield WalkedPage(progress=at, differences=differences)


def fetch_page(gateway: Gateway, phase: str, cursor: str | None, find_unseen: FindUnseen) -> Page:
    """The phase's next page; its first one, if Stripe no longer knows where a walk that rested had come to."""
    try:
        return PHASES[phase](gateway, cursor, find_unseen)
    except NotFound:
        if cursor is None:
            raise
        log.warning("drift_cursor_forgotten", phase=phase, cursor=cursor)
        return PHASES[phase](gateway, None, find_unseen)


def is_due(gateway: Gateway) -> bool:
    """Whether a walk is to be begun, or gone on with."""
    with gateway.database.transaction() as session:
        return progress.is_due(session, KIND, INTERVAL, gateway.clock())


def advance(at: Progress, phase: str, page: Page, differences: Sequence[Difference]) -> Progress:
    """The progress one page further: in the same phase, or at the beginning of the next one."""
    found = Counter({phase: page.looked_at})
    for each in differences:
        found.update((each.cause, each.resolution))
    finished = page.cursor is None and phase == PHASE_ORDER[-1]
    if page.cursor is not None:
        cursor = f"{phase}/{page.cursor}"
    else:
        cursor = f"{phase}/" if finished else PHASE_ORDER[PHASE_ORDER.index(phase) + 1]
    return at.advance(page.answered_at, cursor, found, finished=finished)


def commit_page(gateway: Gateway, at: Progress, after: Progress, page: Page) -> None:
    """Commit the place reached, and what was seen up to it."""
    with gateway.database.transaction() as session:
        progress.note_seen(session, at.id, page.seen)
        progress.store(session, at, after, gateway.clock())
        if after.finished:
            progress.forget_seen(session, at.id)


def split_cursor(cursor: str | None) -> tuple[str, str | None]:
    """Phase and cursor within it; a walk that another release left in a phase of its own begins again."""
    phase, _, within = (cursor or "").partition("/")
    return (phase, within or None) if phase in PHASES else (PHASE_ORDER[0], None)


def resolve(gateway: Gateway, difference: Difference, *, dry_run: bool) -> Difference:
    """The difference, healed if it can be; logged by field, without the values, which may be people's names."""
    if difference.cause is Cause.IN_FLIGHT:
        result = replace(difference, resolution=Resolution.LEFT)
    elif not difference.healable:
        result = difference
    elif dry_run:
        result = replace(difference, resolution=Resolution.WOULD_HEAL)
    else:
        result = heal(gateway, difference)
    log.warning(
        "drift",
        kind=result.kind,
        stripe_id=result.stripe_id,
        organization_id=result.organization_id,
        cause=result.cause,
        fields=list(result.fields),
        done=result.resolution,
    )
    return result


def heal(gateway: Gateway, difference: Difference) -> Difference:
    """Refresh the object. Raises StripeUnavailable: the page is then walked again another time."""
    try:
        outcome = refresh(gateway, difference.kind, difference.stripe_id)
    except UnreadableObject:
        return replace(difference, cause=Cause.UNREADABLE)
    except StripeRejected:
        log.exception("drift_not_healed", stripe_id=difference.stripe_id)
        return difference
    if outcome is None:
        return replace(difference, cause=Cause.GONE)
    if outcome is Outcome.UNKNOWN:
        return difference
    return replace(difference, resolution=Resolution.LEFT if outcome is Outcome.REFRESHED else Resolution.HEALED)
