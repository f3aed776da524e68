"""Makes bodies and headers from the fuzzer's bytes, either raw or as recorded events with invalid values."""

import copy
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

PAYLOADS = Path(__file__).parent.parent / "unit/handlers/payloads"
RECORDED = [json.loads(path.read_text()) for path in sorted(PAYLOADS.glob("*.json"))]
DEEP = "<deep>"
"""A placeholder for a value nested so deeply that Python cannot write it."""
NUMBERS = (0, -1, 1.5, 2**31, 2**63, 2**64 - 1, -(2**63) - 1, 10**30, 1e300, 253_402_300_800)
TEXTS = ("", "\0", "a\0b", "\ud800", "ä\N{ZERO WIDTH SPACE}\n", "x" * 300, "1793491200", "2020-08-27", "cus_other")
THINGS: Sequence[Any] = ([], {}, [None], [[]], {"id": None}, {"id": "\0"}, {"": ""}, DEEP, [DEEP])
INVALID: Sequence[Any] = (None, True, False, *NUMBERS, *TEXTS, *THINGS)
INVALID_BY_TYPE: Mapping[type, Sequence[Any]] = {int: NUMBERS, str: TEXTS, dict: THINGS, list: THINGS}
"""Invalid values of the same type as the old value."""
ENVELOPE = ("id", "object", "type", "created", "livemode", "api_version", "account", "data", "pending_webhooks")

T = TypeVar("T")


class Choices(Protocol):
    """The methods of atheris' FuzzedDataProvider that we use. It turns the fuzzer's bytes into decisions."""

    def ConsumeIntInRange(self, least: int, most: int) -> int: ...  # noqa: N802 - atheris' names

    def ConsumeBytes(self, length: int) -> bytes: ...  # noqa: N802 - atheris' names

    def ConsumeUnicode(self, length: int) -> str: ...  # noqa: N802 - atheris' names

    def remaining_bytes(self) -> int: ...


def pick(choices: Choices, values: Sequence[T]) -> T:
    """Return one of ``values``."""
    return values[choices.ConsumeIntInRange(0, len(values) - 1)]


def header(choices: Choices, good: str) -> str:
    """Return a signature header made of pieces, including ``good``. The server reads header bytes as Latin-1."""
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
    """Return ``raw`` as header text, without NULs and line ends, which every HTTP server refuses."""
    return raw.translate(None, b"\0\r\n").decode("latin-1")


def event(choices: Choices, types: Sequence[str], *, envelope: bool = True) -> bytes:
    """Return a recorded event with changes, sometimes of another type. Without ``envelope``, change only its object."""
    made = copy.deepcopy(pick(choices, RECORDED))
    if choices.ConsumeIntInRange(0, 4) == 0:
        made["type"] = pick(choices, types)
    for _ in range(choices.ConsumeIntInRange(0, 6)):
        change(choices, made, envelope=envelope)
    depth = choices.ConsumeIntInRange(1, 3) * 330  # orjson refuses more than 1,024 levels
    deep = '{"a":' * depth + "1" + "}" * depth
    return json.dumps(made).replace(json.dumps(DEEP), deep).encode()


def change(choices: Choices, made: dict[str, Any], *, envelope: bool) -> None:
    """Change one value in the envelope, in the object, or in the object and its previous state."""
    data = made.get("data")
    stripe_object = data.get("object") if isinstance(data, dict) else None
    choice = choices.ConsumeIntInRange(0 if envelope else 2, 5)
    if not isinstance(data, dict) or not isinstance(stripe_object, dict) or choice == 0:
        name = pick(choices, ENVELOPE)
        made[name] = value(choices, made, made.get(name))
    elif choice == 1:
        stripe_object["id"] = value(choices, made, stripe_object.get("id"))
    elif choice == 2:
        name = pick(choices, [*stripe_object, "another"])
        stripe_object[name] = value(choices, made, stripe_object.get(name))
        before = data.setdefault("previous_attributes", {})
        if isinstance(before, dict):
            before[name] = stripe_object[name]
    else:
        replace(choices, stripe_object, made)


def replace(choices: Choices, inside: Any, made: Mapping[str, Any]) -> None:
    """Replace or remove a value below ``inside``."""
    while isinstance(inside, dict | list) and inside:
        key: Any = pick(choices, list(inside) if isinstance(inside, dict) else range(len(inside)))
        descend = isinstance(inside[key], dict | list) and inside[key] and choices.ConsumeIntInRange(0, 2)
        if descend:
            inside = inside[key]
        elif choices.ConsumeIntInRange(0, 3) == 0:
            del inside[key]
            return
        else:
            inside[key] = value(choices, made, inside[key])
            return


def value(choices: Choices, made: Mapping[str, Any], old: Any) -> Any:
    """Return a replacement for ``old``: an invalid value, the fuzzer's own value, or another value of the event."""
    choice = choices.ConsumeIntInRange(0, 7)
    if choice == 0:
        return choices.ConsumeUnicode(12)
    if choice == 1:
        return choices.ConsumeIntInRange(-(2**63), 2**63 - 1)
    if choice == 2:
        return copy.deepcopy(pick(choices, list(made.values()) or [None]))
    return copy.deepcopy(pick(choices, INVALID_BY_TYPE.get(type(old), INVALID) if choice > 3 else INVALID))
