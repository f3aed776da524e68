"""Checks and conversion of request parameters by the pinned SDK's own ``…Params`` TypedDicts.

Stripe generates the SDK from its OpenAPI description. So the TypedDicts say which parameters each route takes, how they
nest and which values an enum allows. Reading them at run time keeps the sandbox as strict as Stripe without a second
list.
"""

import re
import types
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Literal, NotRequired, Required, Union, get_args, get_origin, get_type_hints

import stripe
from typing_extensions import is_typeddict

from gateway.sandbox.errors import invalid, not_built, required
from gateway.sandbox.json_types import Json

_NAMES = {"Mapping": Mapping, "StripeContext": object}
"""Names that the SDK imports for type checkers only."""

_NON_NEGATIVE = {"quantity", "unit_amount", "flat_amount", "credit_amount", "out_of_band_amount", "refund_amount"}
_CLIENT_OPTIONS = frozenset(get_type_hints(stripe.RequestOptions, localns=_NAMES))
"""Options that the SDK's ``…Params`` inherit for its old interface. Stripe does not take them as parameters."""

_CONFIRMATIONS = (stripe.params.PaymentIntentConfirmParams, stripe.params.SetupIntentConfirmParams)
"""Stripe.js also sends a ``client_secret`` with these. The SDK is made for servers and does not declare it."""

_ENUM_ORDER = {
    "payment_behavior": [
        "allow_incomplete",
        "error_if_incomplete",
        "pending_if_incomplete",
        "default_incomplete",
    ],
    "status": [
        "active",
        "past_due",
        "unpaid",
        "canceled",
        "incomplete",
        "incomplete_expired",
        "trialing",
        "paused",
        "all",
        "ended",
    ],
}
"""The recorded order of the values in Stripe's messages. The SDK sorts them by name."""

_MARKS: tuple[Any, ...] = (NotRequired, Required)
_BOOLEANS = {"true": True, "false": False}
_DECIMAL = re.compile(r"-?\d+(\.\d+)?")


def read(raw: Json, shape: Any) -> Json:
    """Check ``raw`` against the TypedDict ``shape``, and convert its strings to ints, bools and lists."""
    return _read_object(raw, shape, "")


def refuse_unbuilt(params: Json, built: Iterable[str], where: str) -> None:
    """Refuse parameters that the sandbox would ignore. ``built`` holds supported names such as ``items[price]``."""
    known = {"expand", *built}
    for name in _leaves(params, ""):
        heads = name.split("[")
        if not any("[".join(heads[:size]) in known for size in range(1, len(heads) + 1)):
            raise not_built(f"the parameter `{name}` of {where}", param=name)


def _leaves(value: object, name: str) -> Iterable[str]:
    if isinstance(value, dict) and value:
        for key, child in value.items():
            yield from _leaves(child, f"{name}[{key}]" if name else key)
    elif isinstance(value, list):
        for child in value:
            yield from _leaves(child, name)
    elif name:
        yield name


@cache
def _fields(shape: Any) -> Json:
    hints = get_type_hints(shape, localns=_NAMES, include_extras=True)
    if shape in _CONFIRMATIONS:
        hints["client_secret"] = NotRequired[str]
    return {name: hint for name, hint in hints.items() if name not in _CLIENT_OPTIONS}


def _is_optional(hint: Any) -> bool:
    return get_origin(hint) is _MARKS[0]


def _read_object(raw: Json, shape: Any, name: str) -> Json:
    fields = _fields(shape)
    result = {}
    for key, value in raw.items():
        path = f"{name}[{key}]" if name else key
        if key not in fields:
            raise invalid(f"Received unknown parameter: {path}", param=path, code="parameter_unknown")
        result[key] = _read(value, fields[key], path)
    for key, hint in fields.items():
        if key not in raw and not _is_optional(hint):
            path = f"{name}[{key}]" if name else key
            raise required(path)
    return result


def _read(raw: Any, hint: Any, name: str) -> Any:
    while get_origin(hint) in _MARKS:
        (hint,) = get_args(hint)
    options = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    if raw == "" and any(get_origin(option) is Literal and "" in get_args(option) for option in options):
        return ""
    if isinstance(raw, dict):
        return _read_nested(raw, options, name)
    return _read_scalar(raw, options, name)


def _read_nested(raw: Json, options: tuple[Any, ...], name: str) -> Any:
    for option in options:
        if is_typeddict(option):
            return _read_object(raw, option, name)
        if get_origin(option) is list:
            return [_read(value, get_args(option)[0], f"{name}[{index}]") for index, value in raw.items()]
        if get_origin(option) is dict:
            return {key: _read(value, get_args(option)[1], f"{name}[{key}]") for key, value in raw.items()}
    raise invalid(f"Invalid {name}: expected a value, not an object", param=name)


def _read_scalar(raw: str, options: tuple[Any, ...], name: str) -> Any:
    enum = [value for option in options if get_origin(option) is Literal for value in get_args(option) if value != ""]
    if raw in enum:
        return raw
    if int in options:
        try:
            number = int(raw)
        except ValueError:
            raise invalid(f"Invalid integer: {raw}", param=name, code="parameter_invalid_integer") from None
        if number < 0 and name.rpartition("[")[2].rstrip("]") in _NON_NEGATIVE:
            raise invalid("Invalid non-negative integer", param=name, code="parameter_invalid_integer")
        return number
    if float in options:
        return _read_float(raw, name)
    if bool in options:
        if raw in _BOOLEANS:
            return _BOOLEANS[raw]
        raise invalid(f"Invalid boolean: {raw}", param=name, code="parameter_invalid_boolean")
    if enum:
        raise invalid(f"Invalid {name}: must be one of {_listed(name, enum)}", param=name)
    if any(is_typeddict(option) or get_origin(option) in (list, dict) for option in options) and str not in options:
        kind = "array" if any(get_origin(option) is list for option in options) else "object"
        raise invalid(f"Invalid {kind}", param=name)
    return raw


def _read_float(raw: str, name: str) -> float:
    if not _DECIMAL.fullmatch(raw):
        raise invalid(f"Invalid decimal: {raw}", param=name, code="parameter_invalid_decimal")  # inferred
    return float(raw)


def _listed(name: str, enum: list[str]) -> str:
    recorded = _ENUM_ORDER.get(name, [])
    values = recorded if sorted(recorded) == sorted(enum) else enum
    *first, last = values
    return f"{', '.join(first)}, or {last}" if len(first) > 1 else " or ".join(values)
