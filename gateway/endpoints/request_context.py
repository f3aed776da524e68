"""Give a view its caller and the objects that the application shares."""

from collections.abc import Callable, Collection
from functools import wraps
from typing import ParamSpec, TypeVar, cast

from flask import current_app, g, request
from structlog.contextvars import bind_contextvars

from gateway.auth import Principal, TokenVerifier
from gateway.endpoints.apidoc import describe
from gateway.endpoints.blueprint import refuse_unread_body
from gateway.services.runtime import Caller, Gateway
from gateway.services.webhooks.inbox import Inbox
from gateway.services.webhooks.wakeup import Wakeup

P = ParamSpec("P")
R = TypeVar("R")
EXTENSION = "konnect"


class WebApp:
    """The objects that all views of an application share."""

    def __init__(self, gateway: Gateway, handled: Collection[str]) -> None:
        self.gateway = gateway
        self.tokens = TokenVerifier(gateway.config)
        self.inbox = Inbox(gateway, handled)
        self.wakeup = Wakeup(gateway.database)

    def close(self) -> None:
        """Send the last wake-up, then close the database."""
        self.wakeup.close()
        self.inbox.close()
        self.gateway.database.close()


def web_app() -> WebApp:
    """Return the objects that the application shares."""
    return cast("WebApp", current_app.extensions[EXTENSION])


def gateway() -> Gateway:
    """Return the gateway that services take as their first argument."""
    return web_app().gateway


def caller() -> Caller:
    """Return the caller that ``requires`` has set."""
    return cast("Caller", g.caller)


def principal() -> Principal:
    """Return the claims of the request's token, which is verified once. Raise Unauthorized."""
    if "principal" not in g:
        g.principal = web_app().tokens.verify(request.headers.get("Authorization"))
    return cast("Principal", g.principal)


def requires(scope: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Refuse a request whose token lacks ``scope``, or whose body the view does not read.

    The caller's organization is the token's.
    """
    return guard(scope, set_caller)


def requires_service(scope: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Refuse the same for a scope of services. A service may name any organization, so its token need not name one."""
    return guard(scope, Principal.require_scope)


def guard(scope: str, check: Callable[[Principal, str], None]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Run ``check`` with the token's claims before the view, and document the scope."""

    def decorate(view: Callable[P, R]) -> Callable[P, R]:
        @wraps(view)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            check(principal(), scope)
            refuse_unread_body()
            return view(*args, **kwargs)

        describe(guarded, scope=scope)
        return guarded

    return decorate


def set_caller(who: Principal, scope: str) -> None:
    """Set the caller that ``caller`` returns. Raise Forbidden."""
    organization_id = who.require(scope)
    bind_contextvars(organization_id=organization_id)
    g.caller = Caller(
        organization_id=organization_id,
        actor=who.subject,
        name=who.name,
        email=who.email,
        currency=who.currency,
    )
