"""Confirming a quote or a price. One that no longer holds is refused together with a new quote."""

from gateway.errors import GatewayError, QuoteExpired, QuoteStale
from gateway.services.plan_changes.request import change_plan
from gateway.services.plan_changes.view import ChangeView
from gateway.services.quotes.preview import Quote, quote_change
from gateway.services.quotes.token import decode_token
from gateway.services.runtime import Caller, Gateway
from schemas.changes import ChangeCommand


def confirm_change(gateway: Gateway, caller: Caller, command: ChangeCommand) -> ChangeView:
    """Change the plan as ``change_plan`` does, and add a new quote to a refused one.

    A QuoteStale or QuoteExpired carries the ``Quote`` of the same change as its member ``quote``. ``gateway.problems``
    renders it.
    """
    try:
        return change_plan(gateway, caller, command)
    except (QuoteStale, QuoteExpired) as error:
        if (quote := make_new_quote(gateway, caller, command)) is not None:
            error.members["quote"] = quote
        raise


def make_new_quote(gateway: Gateway, caller: Caller, command: ChangeCommand) -> Quote | None:
    """Return a new quote of the same change, or None if the change is no longer possible or Stripe does not answer."""
    said = decode_token(gateway.config, command.quote)[0] if command.quote is not None else {}
    plan, quantity = command.plan or said.get("plan"), command.quantity or said.get("quantity")
    interval = command.interval or said.get("interval") or None
    has_terms = isinstance(plan, str) and isinstance(quantity, int)
    if command.quote is not None and not has_terms:  # another release wrote other terms
        return None
    try:
        return quote_change(gateway, caller, plan, quantity, interval)
    except GatewayError:
        return None
