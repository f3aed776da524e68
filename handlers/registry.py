"""Map event types to handlers. The gateway acknowledges an event without a handler and stores it as ignored."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from gateway.stripe_api.snapshots import Event, Reference, Snapshot

Handler = Callable[[Event], Sequence[Snapshot | Reference]]

_handlers: dict[str, Handler] = {}
HANDLERS: Mapping[str, Handler] = MappingProxyType(_handlers)


def handles(*types: str) -> Callable[[Handler], Handler]:
    """Register a function for event types. Raise ValueError if a type already has a handler."""

    def register(handler: Handler) -> Handler:
        for each in types:
            if each in _handlers:
                raise ValueError(f"{each} has a handler already")
            _handlers[each] = handler
        return handler

    return register
