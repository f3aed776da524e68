"""Which function serves which of Stripe's paths."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from gateway.sandbox.json_types import Json

Handler = TypeVar("Handler", bound=Callable[..., Json])


@dataclass(frozen=True)
class Route:
    """A method and path, the SDK's TypedDict of its parameters, and those of them that the sandbox acts upon."""

    method: str
    path: str
    shape: Any  # a TypedDict class: Python has no type for "the class of a TypedDict"
    built: frozenset[str]
    handler: Callable[..., Json]


class Routes(list[Route]):
    """A module's routes, filled by the decorators below."""

    def add(self, method: str, path: str, shape: object, built: str = "") -> Callable[[Handler], Handler]:
        """Serve ``method path`` with the decorated ``handler(work, params, **ids_from_the_path)``.

        ``built`` names, separated by blanks, the parameters that are implemented: ``"customer items[price]"``. A name
        covers all that is nested in it. Others that ``shape`` declares are refused instead of silently ignored.
        """

        def register(handler: Handler) -> Handler:
            self.append(Route(method, path, shape, frozenset(built.split()), handler))
            return handler

        return register

    def get(self, path: str, shape: object, built: str = "") -> Callable[[Handler], Handler]:
        """A read."""
        return self.add("GET", path, shape, built)

    def post(self, path: str, shape: object, built: str = "") -> Callable[[Handler], Handler]:
        """A write, covered by idempotency keys."""
        return self.add("POST", path, shape, built)

    def delete(self, path: str, shape: object, built: str = "") -> Callable[[Handler], Handler]:
        """A removal."""
        return self.add("DELETE", path, shape, built)
