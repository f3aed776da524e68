"""What every snapshot has: an identity, how it was seen, and a digest of its content."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from functools import cache, cached_property, wraps
from hashlib import blake2b
from typing import ClassVar, ParamSpec, Self, TypeVar

from stripe import ListObject, StripeObject

from gateway.stripe_api.client import TOOK
from gateway.stripe_api.events import UNREADABLE, Event, JsonObject, UnreadableObject

P = ParamSpec("P")
R = TypeVar("R")
Listed = TypeVar("Listed", bound=StripeObject)
LONGEST_ID = 255  # of Stripe's
REFUSED = re.compile("[\0\ud800-\udfff]")  # by PostgreSQL: a NUL, and half a character (see ``json_text``)


class Source(StrEnum):
    """Where a state was seen."""

    EVENT = "event"
    ANSWER = "answer"
    REFRESH = "refresh"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """When, where and why a state was seen: all that the merge orders by."""

    as_of: datetime
    """Stripe's time: an event's ``created``, an answer's ``Date``. Whole seconds."""
    source: Source
    cause: str
    """What goes into the plan history: the event's id, the change's id, the job's name."""
    previous: str | None = None
    """Digest of the state that an event came from, if it says so."""
    is_first: bool = False
    """No state can have come before."""
    after_revision: int | None = None
    """Asked after the stored state had this revision: if it still has, the answer is the newer one."""
    took: timedelta = timedelta(0)
    """How long Stripe took to answer: ``as_of`` dates the end of that, and the state may be as old as its beginning."""

    # Not ordered by, and so not compared: whom the plan history names.
    by_request: bool | None = field(default=None, compare=False)
    """Whether a request caused the event, or Stripe did it by itself; None: no event."""
    request_key: str | None = field(default=None, compare=False)
    """The idempotency key of the request that caused the event."""

    @classmethod
    def in_event(cls, event: Event) -> Self:
        """As an event tells it."""
        return cls(
            as_of=event.created,
            source=Source.EVENT,
            cause=event.id,
            is_first=event.is_first,
            by_request=event.by_request,
            request_key=event.request_key,
        )

    @classmethod
    def in_answer(
        cls, answer: StripeObject, *, cause: str, source: Source = Source.ANSWER, after_revision: int | None = None
    ) -> Self:
        """As an answer tells it."""
        return cls(
            as_of=answered_at(answer),
            took=took(answer),
            source=source,
            cause=cause,
            after_revision=after_revision,
        )


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """The part of a Stripe object that the mirror keeps, at one moment.

    Fields with ``compare=False`` do not count as a change.
    """

    kind: ClassVar[str]

    id: str
    seen: Seen = field(compare=False)

    @property
    def owner(self) -> str | None:
        """The id of the customer it belongs to; None for the catalogue, and for what was detached."""
        return None

    @property
    def rank(self) -> int:
        """Grows only: a state of a lower rank cannot follow one of a higher rank."""
        return 0

    @classmethod
    @cache  # asked for with each snapshot
    def compared(cls) -> tuple[str, ...]:
        """The names of the fields whose values make the content."""
        return tuple(each.name for each in fields(cls) if each.compare)

    @cached_property
    def digest(self) -> str:
        """Equal for equal content, whoever says it."""
        content = [getattr(self, name) for name in self.compared()]
        return blake2b(repr(content).encode(), digest_size=12).hexdigest()

    @classmethod
    def read(cls, stripe_object: JsonObject, seen: Seen) -> Self:
        """Read Stripe's JSON. Raises UnreadableObject if it is not of the pinned API version's shape."""
        raise NotImplementedError

    @classmethod
    def from_event(cls, event: Event) -> Self:
        """The state that ``event`` tells, and which state it followed."""
        seen = Seen.in_event(event)
        if event.previous is not None:
            seen = replace(seen, previous=cls.read(event.previous, seen).digest)
        return cls.read(event.object, seen)

    @classmethod
    def from_answer(
        cls, answer: StripeObject, *, cause: str, source: Source = Source.ANSWER, after_revision: int | None = None
    ) -> Self:
        """The state in an answer of Stripe's, as of the answer's own ``Date``."""
        seen = Seen.in_answer(answer, source=source, cause=cause, after_revision=after_revision)
        return cls.read(answer.to_dict(for_json=True), seen)

    @classmethod
    def from_list(cls, page: ListObject[Listed], *, cause: str) -> list[Self]:
        """The states in one page of a list, as of the page's own ``Date``."""
        seen = Seen.in_answer(page, cause=cause)
        return [cls.read(each.to_dict(for_json=True), seen) for each in page.data]


def answered_at(answer: StripeObject) -> datetime:
    """The ``Date`` header of the response that carried ``answer``: Stripe's clock, not ours."""
    return parsedate_to_datetime(headers_of(answer)["Date"])


def took(answer: StripeObject) -> timedelta:
    """How long the call took: a span, so it does not matter that it is measured here."""
    return timedelta(seconds=float(headers_of(answer)[TOOK]))


def headers_of(answer: StripeObject) -> Mapping[str, str]:
    """The headers of the response that carried ``answer``."""
    if answer.last_response is None:
        raise UnreadableObject("not the top of an answer: it has no Date")
    return answer.last_response.headers


def strict(read: Callable[P, R]) -> Callable[P, R]:
    """Turn what a missing or odd field raises into UnreadableObject."""

    @wraps(read)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return read(*args, **kwargs)
        except UNREADABLE as error:
            raise UnreadableObject(f"{error!r}") from error

    return guarded


def kind_of(value: object) -> str:
    """What an error says of a value: not the value, which may be endless, or somebody's name."""
    return type(value).__name__


def id_of(reference: str | JsonObject | None) -> str | None:
    """The id in a reference, expanded or not. Raises TypeError or ValueError if it is none that could be kept."""
    if reference is None:
        return None
    found = reference if isinstance(reference, str) else reference["id"]
    if not isinstance(found, str):
        raise TypeError(f"not an id but {kind_of(found)}")
    if not 0 < len(found) <= LONGEST_ID or REFUSED.search(found):
        raise ValueError("not an id")
    return found


def required_id(reference: str | JsonObject | None) -> str:
    """The id in a reference that must be there."""
    if (found := id_of(reference)) is None:
        raise UnreadableObject("a reference is null")
    return found


def integer(value: int) -> int:
    """An amount in minor units, or a number of things. Raises TypeError or ValueError for what ``bigint`` refuses."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"not an integer but {kind_of(value)}")
    if abs(value) >= 1 << 63:
        raise ValueError("not an integer of 64 bits")
    return value


def integer_or_none(value: int | None) -> int | None:
    """The same where Stripe may say null."""
    return None if value is None else integer(value)


def natural(value: int) -> int:
    """An integer that is never negative at Stripe, nor in our tables. Raises TypeError or ValueError."""
    if integer(value) < 0:
        raise ValueError("a negative number")
    return value


def flag(value: bool) -> bool:
    """Yes or no. Raises TypeError for anything else."""
    if not isinstance(value, bool):
        raise TypeError(f"not a boolean but {kind_of(value)}")
    return value


def word(value: str) -> str:
    """A code of Stripe's, such as a currency. Raises TypeError or ValueError for anything else."""
    if not isinstance(value, str):
        raise TypeError(f"not a word but {kind_of(value)}")
    if not value.isascii() or not value.isprintable():
        raise ValueError("not a word")
    return value


def text(value: str | None) -> str | None:
    """Free text as PostgreSQL can keep it: JSON may carry a NUL and half a character, ``text`` may not."""
    if value is None or value.isprintable():  # as nearly all is, and this is the quicker look
        return value
    return REFUSED.sub("", value)
