"""The TypedDict of each call's parameters and the class of its response, read from the pinned SDK's source."""

import ast
import importlib
import inspect
import pkgutil
import re
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any, get_args, get_type_hints

import stripe
from typing_extensions import is_typeddict

Call = tuple[str, str]
"""The method and the path without the names of its parts, such as ``("POST", "/v1/invoices/{}/pay")``."""


@dataclass(frozen=True)
class SdkOperation:
    """``params`` is a TypedDict class. ``answer`` is a StripeObject class or a ``ListObject[…]`` of one."""

    params: Any
    answer: Any


def call(method: str, path: str) -> Call:
    return method.upper(), re.sub(r"{\w*}", "{}", path)


@cache
def operations() -> dict[Call, SdkOperation]:
    """Return all calls of the SDK's v1 and v2 services."""
    found = {}
    for module in _service_modules():
        for function in _functions(module):
            for where in _requests(function):
                if where[1].startswith(("/v1/", "/v2/")):
                    found[where] = _operation(function, module)
    return found


def _service_modules() -> Iterator[ModuleType]:
    for info in pkgutil.walk_packages(stripe.__path__, "stripe."):
        if info.name.endswith("_service"):
            yield importlib.import_module(info.name)


def _functions(module: ModuleType) -> Iterator[Callable[..., Any]]:
    for _name, kind in inspect.getmembers(module, inspect.isclass):
        if kind.__module__ == module.__name__:
            yield from (function for _name, function in inspect.getmembers(kind, inspect.isfunction))


def _requests(function: Callable[..., Any]) -> Iterator[Call]:
    """Yield the literal method and path of each ``self._request("post", "/v1/…".format(…), …)`` in a function."""
    if "self._request(" not in inspect.getsource(function):
        return
    for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(function)))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "_request":
            method, path = node.args[:2]
            if isinstance(path, ast.Call) and isinstance(path.func, ast.Attribute):  # "…".format(…)
                path = path.func.value
            yield call(ast.literal_eval(method), ast.literal_eval(path))


def _operation(function: Callable[..., Any], module: ModuleType) -> SdkOperation:
    hints = get_type_hints(function, localns=_imported_for_types(module))
    given = get_args(hints["params"]) or (hints["params"],)
    return SdkOperation(next(kind for kind in given if is_typeddict(kind)), hints["return"])


@cache
def _imported_for_types(module: ModuleType) -> dict[str, Any]:
    """Return the names that a module imports for type checkers only."""
    names: dict[str, Any] = {}
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(node, ast.ImportFrom) and node.module:
            source = importlib.import_module(node.module)
            names |= {alias.asname or alias.name: getattr(source, alias.name) for alias in node.names}
    return names
