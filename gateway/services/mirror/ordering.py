"""Which of two states of one Stripe object is the newer: a pure function, and the reasons.

Stripe promises no order of delivery, its times have whole seconds, duplicates come, also under two event ids. So time
decides only between different seconds. Within one second (or within the tolerance, when the times come from two
different clocks of Stripe's) the *cause* decides: an event says which state it came from, so the events of one second
form a chain. The ``trail`` holds the digests of the states known of that time, oldest first; its last one is the
stored state. A state that continues the trail is applied, one that precedes it is stale; one that does neither, or
that would visit a state twice (A → B → A: content tells no order), is refreshed from Stripe.

An answer is dated when it is sent, and shows the object as it was at any moment since it was asked for: what happened
in that time is not taken for older. The merge asks again after a slow one.

Why this converges: if no state of a second recurs, its events form a simple path, and each arrival extends the known
part at one of its ends, or is refreshed. If one recurs, the path has a cycle, and the arrival that closes it is
refreshed. What could not be placed is remembered in front of the trail, because the refresh that it caused comes
after it. Either way the last word is right, or it is Stripe's own.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum, auto
from itertools import pairwise

from gateway.stripe_api.snapshots import Snapshot, Source

CLOCK_TOLERANCE = timedelta(seconds=2)  # between an event's `created` and an answer's `Date`: two clocks of Stripe's
SAME_CLOCK = timedelta(0)


class Verdict(Enum):
    """What to do with an incoming state."""

    APPLY = auto()
    NOTE = auto()
    """Its content adds nothing, but more is known of the order now."""
    STALE = auto()
    REFRESH = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is stored of an object's state, as far as order goes."""

    as_of: datetime
    source: Source
    rank: int
    trail: tuple[str, ...]
    revision: int


def decide_order(stored: Order | None, incoming: Snapshot) -> tuple[Verdict, Order]:
    """Compare an incoming state with the stored one (None: nothing stored); gives the order to store with it."""
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
    knows_stored_state = seen.after_revision == stored.revision  # asked when all that is stored was known
    # What Stripe's clock has not reached when it answers was never its time: kept, it would make all that comes stale.
    stored_time_is_wrong = knows_stored_state and stored.as_of > seen.as_of + CLOCK_TOLERANCE
    as_of = seen.as_of if stored_time_is_wrong else max(stored.as_of, seen.as_of)
    successor = replace(fresh, as_of=as_of, revision=stored.revision + 1)
    if incoming.rank != stored.rank:  # what cannot go back has the last word, whatever the clocks say
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
    """Place a state of the same second, or of one nearby, in the stored trail."""
    trail = stored.trail
    digest, previous = incoming.digest, incoming.seen.previous
    is_later = incoming.seen.as_of > stored.as_of
    is_earlier = incoming.seen.as_of < stored.as_of
    if digest == trail[-1]:
        return Verdict.NOTE, join_trails((previous,), trail)
    if previous == digest or previous is None:
        # An answer, the object's first event, or a change of fields that the mirror does not keep.
        if digest in trail and not is_later:
            return Verdict.NOTE, trail
        return (Verdict.STALE if incoming.seen.is_first else Verdict.REFRESH), join_trails((digest,), trail)
    if (previous, digest) in pairwise(trail) and not is_later:
        return Verdict.NOTE, trail  # the same change again, perhaps under another event id
    if digest == trail[0] and previous not in trail and not is_later:
        return Verdict.NOTE, (previous, *trail)
    if previous == trail[-1] and digest not in trail and not is_earlier:
        return Verdict.APPLY, (*trail, digest)
    return Verdict.REFRESH, join_trails((previous, digest), trail)


def join_trails(older: tuple[str | None, ...], newer: tuple[str, ...]) -> tuple[str, ...]:
    """One trail from two: a digest that stands in both keeps its newer place."""
    return (*(digest for digest in older if digest is not None and digest not in newer), *newer)
