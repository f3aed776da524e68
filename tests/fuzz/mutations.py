"""Bodies and headers made of the fuzzer's bytes: raw ones, and recorded events with something odd about them."""

import copy
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

PAYLOADS = Path(__file__).parent.parent / "unit/handlers/payloads"
RECORDED = [json.loads(path.read_text()) for path in sorted(PAYLOADS.glob("*.json"))]
DEEP = "<deep>"
"""Stands for a value nested so deeply that Python could not write it."""
NUMBERS = (0, -1, 1.5, 2**31, 2**63, 2**64 - 1, -(2**63) - 1, 10**30, 1e300, 253_402_300_800)
TEXTS = ("", "\0", "a\0b", "\ud800", "ä\N{ZERO WIDTH SPACE}\n", "x" * 300, "1793491200", "2020-08-27", "cus_other")
THINGS: Sequence[Any] = ([], {}, [None], [[]], {"id": None}, {"id": "\0"}, {"": ""}, DEEP, [DEEP])
ODD: Sequence[Any] = (None, True, False, *NUMBERS, *TEXTS, *THINGS)
LIKE: Mapping[type, Sequence[Any]] = {int: NUMBERS, str: TEXTS, dict: THINGS, list: THINGS}
"""Odd, but of the kind that was there."""
ENVELOPE = ("id", "object", "type", "created", "livemode", "api_version", "account", "data", "pending_webhooks")

T = TypeVar("T")


class Choices(Protocol):
    """What is used of atheris' FuzzedDataProvider: the fuzzer's bytes as decisions."""

    def ConsumeIntInRange(self, least: int, most: int) -> int: ...  # noqa: N802 - atheris' names

    def ConsumeBytes(self, length: int) -> bytes: ...  # noqa: N802 - atheris' names

    def ConsumeUnicode(self, length: int) -> str: ...  # noqa: N802 - atheris' names

    def remaining_bytes(self) -> int: ...


def pick(choices: Choices, values: Sequence[T]) -> T:
    """One of them."""
    return values[choices.ConsumeIntInRange(0, len(values) - 1)]


def header(choices: Choices, good: str) -> str:
    """A signature header of pieces, the good one among them, as the server hands it on: bytes read as Latin-1."""
    stamp = good.partition(",")[0].removeprefix("t=")
    pieces = (
        "t=",
        "v1=",
        "v0=",
        ",",
        "=",
        " ",
        stamp,
        good,
        good.partition("v1=")[2],
        "é",
        "٣".encode().decode("latin-1"),
    )
    parts = []
    for _ in range(choices.ConsumeIntInRange(1, 8)):
        raw = choices.ConsumeIntInRange(0, 3) == 0
        parts.append(printable(choices.ConsumeBytes(4)) if raw else pick(choices, pieces))
    return "".join(parts)


def printable(raw: bytes) -> str:
    """Header text without what no HTTP server lets through: NUL and ends of lines."""
    return raw.translate(None, b"\0\r\n").decode("latin-1")


def event(choices: Choices, types: Sequence[str], *, envelope: bool = True) -> bytes:
    """A recorded event, changed in some places; sometimes under another type. Without ``envelope`` only its object."""
    made = copy.deepcopy(pick(choices, RECORDED))
    if choices.ConsumeIntInRange(0, 4) == 0:
        made["type"] = pick(choices, types)
    for _ in range(choices.ConsumeIntInRange(0, 6)):
        change(choices, made, envelope=envelope)
    depth = choices.ConsumeIntInRange(1, 3) * 330  # orjson itself refuses more than 1,024
    deep = '{"a":' * depth + "1" + "}" * depth
    return json.dumps(made).replace(json.dumps(DEEP), deep).encode()


def change(choices: Choices, made: dict[str, Any], *, envelope: bool) -> None:
    """Change one place: of the envelope, anywhere in the object, or in the object and in its state before."""
    data = made.get("data")
    about = data.get("object") if isinstance(data, dict) else None
    way = choices.ConsumeIntInRange(0 if envelope else 2, 5)
    if not isinstance(data, dict) or not isinstance(about, dict) or way == 0:
        name = pick(choices, ENVELOPE)
        made[name] = value(choices, made, made.get(name))
    elif way == 1:
        about["id"] = value(choices, made, about.get("id"))
    elif way == 2:
        name = pick(choices, [*about, "another"])
        about[name] = value(choices, made, about.get(name))
        before = data.setdefault("previous_attributes", {})
        if isinstance(before, dict):
            before[name] = about[name]
    else:
        replace(choices, about, made)


def replace(choices: Choices, inside: Any, made: Mapping[str, Any]) -> None:
    """Replace or remove a value somewhere below ``inside``."""
    while isinstance(inside, dict | list) and inside:
        place: Any = pick(choices, list(inside) if isinstance(inside, dict) else range(len(inside)))
        further = isinstance(inside[place], dict | list) and inside[place] and choices.ConsumeIntInRange(0, 2)
        if further:
            inside = inside[place]
        elif choices.ConsumeIntInRange(0, 3) == 0:
            del inside[place]
            return
        else:
            inside[place] = value(choices, made, inside[place])
            return


def value(choices: Choices, made: Mapping[str, Any], old: Any) -> Any:
    """Something odd instead of ``old``, something of the fuzzer's own, or a value from elsewhere in the event."""
    way = choices.ConsumeIntInRange(0, 7)
    if way == 0:
        return choices.ConsumeUnicode(12)
    if way == 1:
        return choices.ConsumeIntInRange(-(2**63), 2**63 - 1)
    if way == 2:
        return copy.deepcopy(pick(choices, list(made.values()) or [None]))
    return copy.deepcopy(pick(choices, LIKE.get(type(old), ODD) if way > 3 else ODD))
