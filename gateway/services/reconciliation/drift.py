"""The drift walk compares Stripe's objects with the mirror and the plan table, and heals the differences.

The walk runs in phases, and each phase in pages:

1. Stripe's lists of customers and of subscriptions, with the payment methods that these name, of the setup intents
   since the last walk, and of the invoices that are not settled
2. customers, subscriptions, payment methods and unpaid invoices that the mirror has but no list showed, one by one,
   and the invoices whose payment began or may have ended
3. the plan table against the mirror

After each page, the walk heals the page's differences. Then it stores the cursor.

A list only shows that an object differs. The walk never merges a list, because a page takes Stripe so long that a
webhook stored since then can be newer. Instead, ``mirror.refresh.refresh`` retrieves each object that differs, and the
merge decides which state is newer.
"""

from collections import Counter
from collections.abc import Collection, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from types import MappingProxyType

import structlog
from sqlalchemy.orm import Session

from gateway.errors import NotFound, StripeRejected
from gateway.services.customers.customer import find_customer
from gateway.services.customers.existing import adopt_customer, search_customer
from gateway.services.mirror.outcome import Outcome
from gateway.services.mirror.refresh import refresh
from gateway.services.rate_limits.stripe_budget import Priority, calling_as
from gateway.services.reconciliation import added_methods, drift_phases, open_payments, progress
from gateway.services.reconciliation.differences import Cause, Difference, Resolution
from gateway.services.reconciliation.drift_phases import FindUnseen, Page, Phase
from gateway.services.reconciliation.progress import Progress
from gateway.services.runtime import Gateway
from gateway.stripe_api.client import is_key_refused
from gateway.stripe_api.snapshots import UnreadableObject

KIND = progress.DRIFT
INTERVAL = timedelta(hours=23, minutes=30)  # less than a day, because the hourly job would just miss an exact day
PHASES: Mapping[str, Phase] = MappingProxyType(
    {
        "customers": drift_phases.compare_customers,
        "subscriptions": drift_phases.compare_subscriptions,
        "added_payment_methods": added_methods.compare_added_payment_methods,
        "draft_invoices": partial(drift_phases.compare_invoices, "draft"),
        "open_invoices": partial(drift_phases.compare_invoices, "open"),
        "uncollectible_invoices": partial(drift_phases.compare_invoices, "uncollectible"),
        "unlisted_customers": drift_phases.compare_unlisted_customers,
        "unlisted_subscriptions": drift_phases.compare_unlisted_subscriptions,
        "unlisted_payment_methods": drift_phases.compare_unlisted_payment_methods,
        "open_payments": open_payments.compare_open_payments,
        "unpaid_invoices": drift_phases.compare_unpaid_invoices,
        "plan_table": drift_phases.compare_plan_table,
    }
)
PHASE_ORDER = tuple(PHASES)

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class WalkedPage:
    """The progress after one page, and the differences that the page showed."""

    progress: Progress
    differences: list[Difference] = field(default_factory=list)


def walk(gateway: Gateway, *, dry_run: bool = False) -> Generator[WalkedPage]:
    """Walk all phases. Heal and store each page, and then yield it.

    The walk resumes the unfinished run, if there is one. A ``dry_run`` starts from the first page, heals nothing and
    writes nothing. The caller may stop after any page. Raise StripeUnavailable, or ReconciliationInProgress if another
    process is walking too.

    The progress counts the objects that each phase compared, and the differences by cause and by resolution.
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
    """Fetch the phase's next page, or its first one if Stripe no longer knows the cursor of a walk that paused."""
    try:
        return PHASES[phase](gateway, cursor, find_unseen)
    except NotFound:
        if cursor is None:
            raise
        log.warning("drift_cursor_forgotten", phase=phase, cursor=cursor)
        return PHASES[phase](gateway, None, find_unseen)


def is_due(gateway: Gateway) -> bool:
    """Return whether a walk should begin or resume now."""
    with gateway.database.reading() as session:
        return progress.is_due(session, KIND, INTERVAL, gateway.clock())


def advance(at: Progress, phase: str, page: Page, differences: Sequence[Difference]) -> Progress:
    """Return the progress after a page. It is in the same phase, or at the beginning of the next one."""
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
    """Commit the progress and the ids that the page saw in Stripe's lists."""
    with gateway.database.transaction() as session:
        progress.note_seen(session, at.id, page.seen)
        progress.store(session, at, after, gateway.clock())
        if after.finished:
            progress.forget_seen(session, at.id)


def split_cursor(cursor: str | None) -> tuple[str, str | None]:
    """Split a stored cursor into its phase and the cursor within that phase.

    Start again with the first phase if another release stored a phase that this release does not know.
    """
    phase, _, within = (cursor or "").partition("/")
    return (phase, within or None) if phase in PHASES else (PHASE_ORDER[0], None)


def resolve(gateway: Gateway, difference: Difference, *, dry_run: bool) -> Difference:
    """Heal the difference if that is possible, log it, and return it with its resolution.

    Log the names of its fields without their values, because the values may contain people's names.
    """
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
    """Refresh the object from Stripe and return the difference with its resolution.

    If the merge queued another refresh, ``refresh.run_refresh_job`` continues, and the difference is left to it. Raise
    StripeUnavailable, or StripeRejected if Stripe refuses the key. The cursor then stays, and the next walk compares
    the page again.
    """
    try:
        if difference.cause is Cause.UNLINKED_CUSTOMER:
            return adopt(gateway, difference)
        outcome = refresh(gateway, difference.kind, difference.stripe_id)
    except UnreadableObject:
        return replace(difference, cause=Cause.UNREADABLE)
    except StripeRejected as error:
        if is_key_refused(error):  # then Stripe refuses all objects
            raise
        log.exception("drift_not_healed", stripe_id=difference.stripe_id)
        return difference
    if outcome is None:
        return replace(difference, cause=Cause.GONE)
    if outcome is Outcome.UNKNOWN:
        return difference
    return replace(difference, resolution=Resolution.LEFT if outcome is Outcome.REFRESHED else Resolution.HEALED)


def adopt(gateway: Gateway, difference: Difference) -> Difference:
    """Adopt a customer for the unknown organization that it names, unless another one is the better choice."""
    chosen = search_customer(gateway, difference.organization_id)
    adopt_customer(gateway, chosen or difference.stripe_id)
    linked = find_customer(gateway, difference.organization_id)
    if linked is None:  # no token could name such an organization
        return difference
    if linked.id != difference.stripe_id:
        return replace(difference, cause=Cause.DUPLICATE_CUSTOMER)
    return replace(difference, resolution=Resolution.HEALED)
