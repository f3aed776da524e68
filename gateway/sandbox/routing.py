"""The table of Stripe's paths and the functions that serve them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from gateway.sandbox.json_types import Json

Handler = TypeVar("Handler", bound=Callable[..., Json])


@dataclass(frozen=True)
class Route:
    """A method and path with the function that serves them.

    ``shape`` is the SDK's TypedDict of the parameters. ``built`` names the parameters that the sandbox implements.
    """

    method: str
    path: str
    shape: Any  # a TypedDict class, for which Python has no type
    built: frozenset[str]
    handler: Callable[..., Json]


class Routes(list[Route]):
    """A module's routes, filled by the decorators below."""

    def add(self, method: str, path: str, shape: object, built: str = "") -> Callable[[Handler], Handler]:
        """Serve ``method path`` with the decorated ``handler(work, params, **ids_from_the_path)``.

        ``built`` names the implemented parameters, separated by blanks, such as ``"customer items[price]"``. A name
        covers everything nested in it. The sandbox refuses the other parameters of ``shape`` and ignores none silently.
        """

        def register(handler: Handler) -> Handler:
            self.append(Route(method, path, shape, frozenset(built.split()), handler))
            return handler

        return register

    def get(self, path: str, shape: object, built: str = "") -> Callable[[Handler], Handler]:
        """Register a read."""
        return self.add("GET", path, shape, built)

    def post(self, path: str, shape: object, built: str = "") -> Callable[[Handler], Handler]:
        """Register a write, which idempotency keys cover."""
        return self.add("POST", path, shape, built)

    def delete(self, path: str, shape: object, built: str = "") -> Callable[[Handler], Handler]:
        """Register a removal."""
        return self.add("DELETE", path, shape, built)
