"""What a view needs of the request it serves."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar, cast

from flask import current_app, g, request

from gateway.auth import TokenVerifier
from gateway.services.runtime import Caller, Gateway
from gateway.services.webhooks.inbox import Inbox
from gateway.services.webhooks.wakeup import Wakeup

P = ParamSpec("P")
R = TypeVar("R")
EXTENSION = "konnect"


class WebApp:
    """What the application holds for its views."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.tokens = TokenVerifier(gateway.config)
        self.inbox = Inbox(gateway)
        self.wakeup = Wakeup(gateway.database)

    def close(self) -> None:
        """Send the last wake-up, then let go of the database."""
        self.wakeup.close()
        self.inbox.close()
        self.gateway.database.close()


def web_app() -> WebApp:
    """The application's parts."""
    return cast("WebApp", current_app.extensions[EXTENSION])


def gateway() -> Gateway:
    """What the services work with."""
    return web_app().gateway


def caller() -> Caller:
    """Who asks; set by ``requires``."""
    return cast("Caller", g.caller)


def requires(scope: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let a view be called only with a token that carries ``scope``; the organization is the token's."""

    def decorate(view: Callable[P, R]) -> Callable[P, R]:
        @wraps(view)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            principal = web_app().tokens.verify(request.headers.get("Authorization"))
            g.caller = Caller(
                organization_id=principal.require(scope),
                actor=principal.subject,
                name=principal.name,
                email=principal.email,
            )
            return view(*args, **kwargs)

        return guarded

    return decorate
