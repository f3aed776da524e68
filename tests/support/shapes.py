"""Compares an object's JSON with the pinned SDK's class for it."""

import decimal
import inspect
import types
from collections.abc import Iterator
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import stripe

from tests.support.json_types import Json

RECORDED_BESIDES = {
    "Subscription": {"plan", "quantity"},
    "Product": {"attributes"},
}
"""Fields that were recorded from Stripe's API although its SDK no longer declares them."""


def differences(value: Any, kind: Any, path: str = "") -> Iterator[str]:
    """Yield every place where ``value`` does not fit the annotation ``kind``."""
    options = get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)
    if value is None:
        if type(None) not in options:
            yield f"{path}: null, and the SDK says it never is"
        return
    options = tuple(option for option in options if option is not type(None))
    if any(get_origin(option) is Literal for option in options):
        options = tuple(
            option for option in options if option is not str
        )  # the SDK allows future values, but the sandbox must not
    found = [list(_against(value, option, path)) for option in options]
    if not any(problems == [] for problems in found):
        yield from min(found, key=len)


def _against(value: Any, kind: Any, path: str) -> Iterator[str]:
    origin = get_origin(kind)
    if origin is Literal:
        if value not in get_args(kind):
            yield f"{path}: {value!r} is none of {get_args(kind)}"
    elif origin is list:
        yield from _list(value, get_args(kind)[0], path)
    elif isinstance(origin or kind, type) and issubclass(origin or kind, stripe.StripeObject):
        yield from _object(value, kind, path)
    elif kind is not Any and type(value) not in _SENT_AS.get(kind, (kind,)):
        yield f"{path}: {value!r} is no {kind}"


_SENT_AS: dict[Any, tuple[type, ...]] = {decimal.Decimal: (str,), float: (int, float)}


def _list(value: Any, kind: Any, path: str) -> Iterator[str]:
    if not isinstance(value, list):
        yield f"{path}: no list"
        return
    for index, entry in enumerate(value):
        yield from differences(entry, kind, f"{path}[{index}]")


def _object(value: Any, kind: Any, path: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{path}: {value!r} is no object"
        return
    origin = get_origin(kind) or kind
    if origin in _PAGES:
        yield from _page(value, _PAGES[origin], get_args(kind)[0] if get_args(kind) else Any, path)
        return
    hints = _hints(origin)
    if not hints:  # metadata and previous_attributes allow any keys
        return
    if value.get("deleted") is True and "deleted" in hints and origin is not stripe.Discount:
        yield from _stub(value, origin, path)
        return
    if name_of(origin) not in (None, value.get("object")):
        yield f"{path}: object {value.get('object')!r}, and the SDK expects {name_of(origin)!r}"
    for key, hint in hints.items():
        if key in value:
            yield from differences(value[key], hint, f"{path}.{key}")
        elif type(None) not in get_args(hint):
            yield f"{path}.{key}: missing, and the SDK says it never is"
    for key in value.keys() - hints.keys() - RECORDED_BESIDES.get(origin.__name__, set()):
        yield f"{path}.{key}: unknown to the SDK"


def _stub(value: Json, kind: type, path: str) -> Iterator[str]:
    """Yield the problem if ``value`` is not the stub of a deleted object."""
    if value.keys() != {"id", "object", "deleted"} or value["object"] != name_of(kind):
        yield f"{path}: {value!r} is no stub of a deleted {kind.__name__}"


def name_of(kind: type) -> str | None:
    """Return the ``object`` field of the class's objects, or None for a nested class without one."""
    return getattr(kind, "OBJECT_NAME", None)


_PAGES: dict[Any, str] = {stripe.ListObject: "list", stripe.SearchResultObject: "search_result"}


def _page(value: Json, name: str, kind: Any, path: str) -> Iterator[str]:
    if value.get("object") != name or not isinstance(value.get("has_more"), bool) or "url" not in value:
        yield f"{path}: no {name} object"
    yield from _list(value.get("data"), kind, f"{path}.data")


def former_differences(value: Any, kind: Any, path: str = "") -> Iterator[str]:
    """Yield the differences of ``previous_attributes``.

    Its nested objects contain only the changed fields. All other values are complete.
    """
    options = get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)
    classes = [option for option in options if isinstance(get_origin(option) or option, type)]
    nested = [option for option in classes if issubclass(get_origin(option) or option, stripe.StripeObject)]
    if not isinstance(value, dict) or not nested:
        yield from differences(value, kind, path)
        return
    origin = get_origin(nested[0]) or nested[0]
    if origin is stripe.ListObject:
        hints: Json = {"data": list[get_args(nested[0])[0]], "has_more": bool, "total_count": int}  # type: ignore[misc]  # a class known only at run time
    else:
        hints = _hints(origin)
    for key in value if hints else ():
        if key in hints:
            yield from former_differences(value[key], hints[key], f"{path}.{key}")
        elif key not in RECORDED_BESIDES.get(origin.__name__, set()):
            yield f"{path}.{key}: unknown to the SDK"


@cache
def _hints(kind: type) -> Json:
    own = {key for base in kind.__mro__ if base.__module__.startswith("stripe._") for key in _declared(base)}
    hints = get_type_hints(kind, localns=_Names())
    return {key: hints[key] for key in own if key in hints}


def _declared(kind: type) -> Iterator[str]:
    if kind in (stripe.StripeObject, stripe.APIResource):
        return
    for key in inspect.get_annotations(kind):
        if not key.startswith("_") and key != "OBJECT_NAME":
            yield key


class _Names(dict[str, Any]):
    """The names that the SDK imports for type checkers only, some under another name."""

    def __missing__(self, name: str) -> Any:
        name = name.removesuffix("Resource")
        for module in (stripe, stripe.billing, stripe.billing_portal, stripe.checkout, stripe.test_helpers):
            if hasattr(module, name):
                return getattr(module, name)
        raise KeyError(name)
