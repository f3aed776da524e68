"""The order of two states of one Stripe object, as a pure function.

Time alone is not enough, because Stripe promises no order of delivery. Its times have whole seconds. It delivers
duplicates, sometimes under two event ids. So time decides only between different seconds.

Within one second, the event's *cause* decides. The same holds within the tolerance, if the two times come from
different clocks of Stripe's. An event says which state it came from, so the events of one second form a chain. The
``trail`` holds the digests of the known states of that time, oldest first. Its last digest is the stored state's.

- A state that continues the trail is applied.
- A state that precedes the trail is stale.
- Any other state is refreshed from Stripe. So is a state that the trail would visit twice, because A → B → A shows
  that content gives no order.

Stripe dates an answer when it sends it. The answer shows the object at some moment since the call began, so an answer
does not count as newer than changes from that time. The merge asks again after a slow answer.

This converges. If no state of a second recurs, the events of that second form a simple path. Each arrival extends the
known part of the path at one end, or is refreshed. If a state recurs, the path has a cycle, and the arrival that
closes the cycle is refreshed. A state without a place is remembered at the front of the trail, because the refresh
that it caused comes after it. Either way the final state is right, or it comes from Stripe itself.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum, auto
from itertools import pairwise

from gateway.stripe_api.snapshots import Snapshot, Source

# An event's `created` and an answer's `Date` come from two of Stripe's clocks.
CLOCK_TOLERANCE = timedelta(seconds=2)
SAME_CLOCK = timedelta(0)


class Verdict(Enum):
    """What to do with an incoming state."""

    APPLY = auto()
    NOTE = auto()
    """The content is not new, but the state adds to the known order."""
    STALE = auto()
    REFRESH = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """The stored facts that place an object's state among its other states."""

    as_of: datetime
    source: Source
    rank: int
    trail: tuple[str, ...]
    revision: int


def decide_order(stored: Order | None, incoming: Snapshot) -> tuple[Verdict, Order]:
    """Compare an incoming state with the stored one, and return the verdict and the order to store.

    ``stored`` is None if the mirror has no state of the object.
    """
    seen = incoming.seen
    fresh = Order(
        as_of=seen.as_of,
        source=seen.source,
        rank=incoming.rank,
        trail=join_trails((seen.previous,), (incoming.digest,)),
        revision=1,
    )
    if stored is None:
        return Verdict.APPLY, fresh
    knows_stored_state = seen.after_revision == stored.revision  # the call began after the stored state was written
    # A stored time later than Stripe's clock is wrong. Keeping it would make every later state look stale.
    stored_time_is_wrong = knows_stored_state and stored.as_of > seen.as_of + CLOCK_TOLERANCE
    as_of = seen.as_of if stored_time_is_wrong else max(stored.as_of, seen.as_of)
    successor = replace(fresh, as_of=as_of, revision=stored.revision + 1)
    if incoming.rank != stored.rank:  # a rank never falls, so it decides before the clocks
        return (Verdict.APPLY, successor) if incoming.rank > stored.rank else (Verdict.STALE, stored)
    tolerance = SAME_CLOCK if seen.source is stored.source is Source.EVENT else CLOCK_TOLERANCE
    if seen.as_of - seen.took > stored.as_of + tolerance:
        return Verdict.APPLY, successor
    if knows_stored_state:  # the answer is newer
        return Verdict.APPLY, replace(successor, trail=join_trails(stored.trail, (incoming.digest,)))
    if seen.as_of < stored.as_of - tolerance:
        return Verdict.STALE, stored
    verdict, trail = place_in_trail(stored, incoming)
    if verdict is Verdict.APPLY:
        return verdict, replace(successor, trail=trail)
    return verdict, replace(
        stored, as_of=successor.as_of if trail[-1] == incoming.digest else stored.as_of, trail=trail
    )


def place_in_trail(stored: Order, incoming: Snapshot) -> tuple[Verdict, tuple[str, ...]]:
    """Place a state of the same second, or of a second within the tolerance, in the stored trail."""
    trail = stored.trail
    digest, previous = incoming.digest, incoming.seen.previous
    is_later = incoming.seen.as_of > stored.as_of
    is_earlier = incoming.seen.as_of < stored.as_of
    if digest == trail[-1]:
        return Verdict.NOTE, join_trails((previous,), trail)
    if previous == digest or previous is None:
        # It is an answer, the object's first event, or a change of fields that the mirror does not store.
        if digest in trail and not is_later:
            return Verdict.NOTE, trail
        return (Verdict.STALE if incoming.seen.is_first else Verdict.REFRESH), join_trails((digest,), trail)
    if (previous, digest) in pairwise(trail) and not is_later:
        return Verdict.NOTE, trail  # the same change again, possibly under another event id
    if digest == trail[0] and previous not in trail and not is_later:
        return Verdict.NOTE, (previous, *trail)
    if previous == trail[-1] and digest not in trail and not is_earlier:
        return Verdict.APPLY, (*trail, digest)
    return Verdict.REFRESH, join_trails((previous, digest), trail)


def join_trails(older: tuple[str | None, ...], newer: tuple[str, ...]) -> tuple[str, ...]:
    """Join two trails. A digest that is in both keeps its newer place."""
    return (*(digest for digest in older if digest is not None and digest not in newer), *newer)
