"""The order of two states of one Stripe object, as a pure function.

Time alone is not enough, because Stripe promises no order of delivery. Its times have whole seconds. It delivers
duplicates, sometimes under two event ids. So time decides only between different seconds.

Within one second, the event's *cause* decides. The same holds within the tolerance, if the two times come from
different clocks of Stripe's. An event says which state it came from, so the events of one second form a chain. The
``trail`` holds the digests of the known states of that time, oldest first, after the state before them. Its last digest
is the stored state's.

- The first state of that time is applied, and so is the state that continues it.
- A state that precedes the trail is stale.
- Any other state is refreshed from Stripe. So is a state that the trail would visit twice, because A → B → A shows
  that content gives no order.

No applied state is older than one applied before it. If the object visits the stored state twice within a second, an
event that continues it may belong to the first visit. The second applied state is still in order, because it directly
follows the first one at Stripe. A third one may be older than the first, so it is refreshed. A ``created`` state does
not count among the two, because no other state precedes it.

Stripe dates an answer when it sends it. The answer shows the object at some moment since the call began, so an answer
does not count as newer than changes from that time. The merge asks again after a slow answer.

This converges. If no state of a second recurs, the events of that second form a simple path. Each arrival extends the
known part of the path at one end, or is refreshed. If a state recurs, the path has a cycle, and the arrival that
closes the cycle is refreshed. A state without a place is remembered at the front of the trail, because the refresh
that it caused comes after it. ``UNKNOWN`` separates it from the chain. Either way the final state is right, or it comes
from Stripe itself.

An event may arrive during a call and show that the object returned to a known state. The revision then grows, so that
the answer does not count as newer. If the event looks like a repeated one, the answer is applied and refreshed again.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum, auto
from itertools import pairwise

from gateway.stripe_api.snapshots import Snapshot, Source

# An event's `created` and an answer's `Date` come from two of Stripe's clocks.
CLOCK_TOLERANCE = timedelta(seconds=2)
SAME_CLOCK = timedelta(0)
ORDERED = 2
"""The length of a trail that can be continued: the state before and one state, or ``created`` and one state."""
UNKNOWN = ""
"""A trail holds it in place of states that are not known. The order of the states before it is not known either."""


class Verdict(Enum):
    """What to do with an incoming state."""

    APPLY = auto()
    APPLY_AND_REFRESH = auto()
    """The answer's state is newer than the stored one, but an event may have shown an even newer one."""
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
    before = stored.trail[-1] if stored is not None else UNKNOWN
    trail: tuple[str, ...] = (incoming.digest,) if seen.is_first else (seen.previous or before, incoming.digest)
    if stored is None:
        return Verdict.APPLY, Order(as_of=seen.as_of, source=seen.source, rank=incoming.rank, trail=trail, revision=1)
    knows_stored_state = seen.after_revision == stored.revision  # the call began after the stored state was written
    # A stored time later than Stripe's clock is wrong. Keeping it would make every later state look stale.
    stored_time_is_wrong = knows_stored_state and stored.as_of > seen.as_of + CLOCK_TOLERANCE
    as_of = seen.as_of if stored_time_is_wrong else max(stored.as_of, seen.as_of)
    source = seen.source if as_of == seen.as_of else stored.source  # the clock that ``as_of`` comes from
    successor = Order(as_of=as_of, source=source, rank=incoming.rank, trail=trail, revision=stored.revision + 1)
    if incoming.rank != stored.rank:  # a rank never falls, so it decides before the clocks
        return (Verdict.APPLY, successor) if incoming.rank > stored.rank else (Verdict.STALE, stored)
    tolerance = SAME_CLOCK if seen.source is stored.source is Source.EVENT else CLOCK_TOLERANCE
    if seen.as_of - seen.took > stored.as_of + tolerance:
        return Verdict.APPLY, successor
    if knows_stored_state:  # the answer is newer
        verdict, trail = append_answer(stored.trail, incoming.digest)
        return verdict, replace(successor, trail=trail)
    if seen.as_of < stored.as_of - tolerance:
        return Verdict.STALE, stored
    verdict, trail = place_in_trail(stored, incoming)
    if verdict is Verdict.APPLY:
        return verdict, replace(successor, trail=trail)
    if trail[-1] == incoming.digest and as_of > stored.as_of:
        stored = replace(stored, as_of=as_of, source=source)
    revision = stored.revision
    if verdict is Verdict.NOTE and seen.previous not in {None, incoming.digest}:
        # The object may have returned to a known state. An answer from before that must not count as newer.
        revision += (seen.previous, incoming.digest) not in pairwise(chain_of(stored.trail))
    return verdict, replace(stored, trail=trail, revision=revision)


def place_in_trail(stored: Order, incoming: Snapshot) -> tuple[Verdict, tuple[str, ...]]:
    """Place a state of the same second, or of a second within the tolerance, in the stored trail."""
    trail, chain = stored.trail, chain_of(stored.trail)
    digest, seen = incoming.digest, incoming.seen
    previous = seen.previous if seen.previous != digest else None
    is_later = seen.as_of > stored.as_of
    is_earlier = seen.as_of < stored.as_of
    # The answer that created the object came before its event, which shows that no state precedes the answer's.
    if seen.is_first and trail[:2] == (UNKNOWN, digest):
        return Verdict.NOTE, trail[1:]
    if previous is None:
        # It is an answer, the object's first event, or a change of fields that the mirror does not store. A refresh
        # must find the last state, so it never ends with a state that only has a place in the trail.
        if digest == trail[-1] or (digest in trail and not is_later and seen.source is not Source.REFRESH):
            return Verdict.NOTE, trail
        return (Verdict.STALE if seen.is_first else Verdict.REFRESH), join_trails((digest, UNKNOWN), trail)
    if (previous, digest) in pairwise(chain) and not is_later:
        return Verdict.NOTE, trail  # the same change again, possibly under another event id
    if digest == chain[0] and previous not in chain and not is_later:
        return Verdict.NOTE, join_trails(trail, (previous, *chain))
    if digest == trail[-1]:
        return Verdict.NOTE, join_trails((previous, UNKNOWN), trail)
    if previous == trail[-1] and digest not in trail and not is_earlier and len(trail) <= ORDERED:
        return Verdict.APPLY, (*trail, digest)
    return Verdict.REFRESH, join_trails((previous, digest, UNKNOWN), trail)


def append_answer(trail: tuple[str, ...], digest: str) -> tuple[Verdict, tuple[str, ...]]:
    """Append the state of an answer that is newer than the stored state.

    The chain may contain the state already. An event that looks like a repeated one may then be newer than the answer.
    """
    if digest == trail[-1]:
        return Verdict.APPLY, trail
    verdict = Verdict.APPLY_AND_REFRESH if digest in chain_of(trail) else Verdict.APPLY
    return verdict, (*(UNKNOWN if each == digest else each for each in trail), digest)


def chain_of(trail: tuple[str, ...]) -> tuple[str, ...]:
    """Return the end of the trail, in which each state directly follows the one before."""
    return trail[-trail[::-1].index(UNKNOWN) :] if UNKNOWN in trail else trail


def join_trails(older: tuple[str, ...], newer: tuple[str, ...]) -> tuple[str, ...]:
    """Join two trails. A digest that is in both keeps its newer place."""
    return (*(digest for digest in older if digest not in newer), *newer)
