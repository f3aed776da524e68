"""The base of all snapshots, and the functions that read and check single fields of Stripe's JSON."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from functools import cache, cached_property, wraps
from hashlib import blake2b
from typing import ClassVar, ParamSpec, Self, TypeAlias, TypeVar, cast

import orjson
from stripe import ListObject, StripeObject, StripeResponse

from gateway.stripe_api.client import TOOK
from gateway.stripe_api.events import UNREADABLE, Event, JsonObject, UnreadableObject

P = ParamSpec("P")
R = TypeVar("R")
Listed = TypeVar("Listed", bound=StripeObject)
# The SDK takes longer to turn the JSON of a response into objects than we take to read it.
Answer: TypeAlias = StripeObject | StripeResponse
"""What a call returns. ``raw_request`` returns the response, all other methods of the SDK an object."""
LONGEST_ID = 255  # Stripe's ids have at most this many characters
REFUSED = re.compile("[\0\ud800-\udfff]")  # PostgreSQL refuses a NUL and a lone surrogate (see ``json_text``)


class Source(StrEnum):
    """Where the gateway saw a state."""

    EVENT = "event"
    ANSWER = "answer"
    REFRESH = "refresh"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """When, where and why the gateway saw a state. The merge orders states by these fields alone."""

    as_of: datetime
    """Stripe's time in whole seconds, from an event's ``created`` or an answer's ``Date``."""
    source: Source
    cause: str
    """The cause that the plan history records: the event's id, the change's id or the job's name."""
    previous: str | None = None
    """The digest of the object's previous state, if the event contains that state."""
    is_first: bool = False
    """Whether this is the object's first state."""
    after_revision: int | None = None
    """The revision of the stored state before the call. If it has not changed since, the answer is the newer state."""
    took: timedelta = timedelta(0)
    """How long Stripe took to answer. ``as_of`` is the end of that time, but the state may date from its beginning."""

    # The plan history and the notifications need these. The merge does not order by them, so they are not compared.
    by_request: bool | None = field(default=None, compare=False)
    """Whether a request caused the event. False means that Stripe acted by itself, None that there is no event."""
    request_key: str | None = field(default=None, compare=False)
    """The idempotency key of the request that caused the event."""
    event_type: str | None = field(default=None, compare=False)
    """The type of the event. Some types report what the object's state does not show, such as a declined payment."""

    @classmethod
    def in_event(cls, event: Event, previous: str | None = None) -> Self:
        """Describe the origin of the state in ``event``."""
        return cls(
            as_of=event.created,
            source=Source.EVENT,
            cause=event.id,
            previous=previous,
            is_first=event.is_first,
            by_request=event.by_request,
            request_key=event.request_key,
            event_type=event.type,
        )

    @classmethod
    def in_answer(
        cls, answer: Answer, *, cause: str, source: Source = Source.ANSWER, after_revision: int | None = None
    ) -> Self:
        """Describe the origin of the state in Stripe's ``answer``."""
        return cls(
            as_of=answered_at(answer),
            took=duration_of(answer),
            source=source,
            cause=cause,
            after_revision=after_revision,
        )


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """The part of a Stripe object that the mirror keeps, at one moment.

    A difference in a field with ``compare=False`` does not count as a change.
    """

    kind: ClassVar[str]

    id: str
    seen: Seen = field(compare=False)

    @property
    def owner(self) -> str | None:
        """Return the id of the object's customer, or None for products, prices and detached objects."""
        return None

    @property
    def rank(self) -> int:
        """Return the rank of the state. An object's rank only grows, so the state of the lower rank is always older."""
        return 0

    @classmethod
    @cache  # every digest needs it
    def compared(cls) -> tuple[str, ...]:
        """Return the names of the fields that make up the content."""
        return tuple(each.name for each in fields(cls) if each.compare)

    @cached_property
    def digest(self) -> str:
        """Return a digest of the content. Equal content has an equal digest, wherever the gateway saw it."""
        shown = vars(self)
        content = [shown[name] for name in self.compared()]
        return blake2b(orjson.dumps(content), digest_size=12).hexdigest()

    @classmethod
    def read(cls, stripe_object: JsonObject, seen: Seen) -> Self:
        """Read Stripe's JSON. Raise UnreadableObject if it is not of the pinned API version's shape."""
        raise NotImplementedError

    @classmethod
    def from_event(cls, event: Event) -> Self:
        """Return the state in ``event``, with the digest of the state that it followed."""
        seen = Seen.in_event(event)
        if event.previous is not None:
            seen = Seen.in_event(event, cls.read(event.previous, seen).digest)
        return cls.read(event.object, seen)

    @classmethod
    def from_answer(
        cls, answer: Answer, *, cause: str, source: Source = Source.ANSWER, after_revision: int | None = None
    ) -> Self:
        """Return the state in Stripe's ``answer``, as of the answer's own ``Date``."""
        seen = Seen.in_answer(answer, source=source, cause=cause, after_revision=after_revision)
        return cls.read(body_of(answer), seen)

    @classmethod
    def from_list(cls, page: ListObject[Listed], *, cause: str) -> list[Self]:
        """Return the states in one page of a list, as of the page's own ``Date``."""
        seen = Seen.in_answer(page, cause=cause)
        return [cls.read(each.to_dict(for_json=True), seen) for each in page.data]


def answered_at(answer: Answer) -> datetime:
    """Return the ``Date`` header of the response that carried ``answer``. It is Stripe's time, not ours."""
    return parsedate_to_datetime(headers_of(answer)["Date"])


def duration_of(answer: Answer) -> timedelta:
    """Return how long the call took. Our clock may measure a duration, though it must not date a state."""
    return timedelta(seconds=float(headers_of(answer)[TOOK]))


def headers_of(answer: Answer) -> Mapping[str, str]:
    """Return the headers of the response that carried ``answer``."""
    response = answer.last_response if isinstance(answer, StripeObject) else answer
    if response is None:
        raise UnreadableObject("the object is only a part of an answer and has no Date")
    return response.headers


def body_of(answer: Answer) -> JsonObject:
    """Return the JSON of ``answer``."""
    return answer.to_dict(for_json=True) if isinstance(answer, StripeObject) else cast("JsonObject", answer.data)


def strict(read: Callable[P, R]) -> Callable[P, R]:
    """Turn the errors that a missing or invalid field raises into UnreadableObject."""

    @wraps(read)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return read(*args, **kwargs)
        except UNREADABLE as error:
            raise UnreadableObject(f"{error!r}") from error

    return guarded


def type_name(value: object) -> str:
    """Return the name of the value's type, for an error. The value itself may be huge or a person's name."""
    return type(value).__name__


def id_of(reference: str | JsonObject | None) -> str | None:
    """Return the id in a reference, expanded or not. Raise TypeError or ValueError for an id that we cannot store."""
    if reference is None:
        return None
    found = reference if isinstance(reference, str) else reference["id"]
    if not isinstance(found, str):
        raise TypeError(f"not an id but {type_name(found)}")
    # Nearly all ids are printable, which is faster to find out than what the pattern looks for.
    if not 0 < len(found) <= LONGEST_ID or (not found.isprintable() and REFUSED.search(found)):
        raise ValueError("not an id")
    return found


def required_id(reference: str | JsonObject | None) -> str:
    """Return the id in a reference, as ``id_of`` does. Raise UnreadableObject if the reference is null."""
    if (found := id_of(reference)) is None:
        raise UnreadableObject("a reference is null")
    return found


def integer(value: int) -> int:
    """Return an amount in minor units or a count. Raise TypeError or ValueError if ``bigint`` cannot hold it."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"not an integer but {type_name(value)}")
    if abs(value) >= 1 << 63:
        raise ValueError("not an integer of 64 bits")
    return value


def integer_or_none(value: int | None) -> int | None:
    """Return an integer, or None where Stripe sent null."""
    return None if value is None else integer(value)


def natural(value: int) -> int:
    """Return an integer that is never negative at Stripe, nor in our tables. Raise TypeError or ValueError."""
    if integer(value) < 0:
        raise ValueError("a negative number")
    return value


def flag(value: bool) -> bool:
    """Return true or false. Raise TypeError for anything else."""
    if not isinstance(value, bool):
        raise TypeError(f"not a boolean but {type_name(value)}")
    return value


def word(value: str) -> str:
    """Return one of Stripe's codes, such as a currency. Raise TypeError or ValueError for anything else."""
    if not isinstance(value, str):
        raise TypeError(f"not a word but {type_name(value)}")
    if not value.isascii() or not value.isprintable():
        raise ValueError("not a word")
    return value


def text(value: str | None) -> str | None:
    """Return free text without NULs and lone surrogates. JSON may contain them, but PostgreSQL refuses them."""
    if value is None or value.isprintable():  # true for nearly all text, and faster than the pattern
        return value
    return REFUSED.sub("", value)
