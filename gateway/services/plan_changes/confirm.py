"""Confirming a quote: one that no longer holds is refused together with the one that does."""

from gateway.errors import GatewayError, QuoteExpired, QuoteStale
from gateway.services.plan_changes.request import change_plan
from gateway.services.plan_changes.view import ChangeView
from gateway.services.quotes.preview import Quote, quote_change
from gateway.services.quotes.token import decode_token
from gateway.services.runtime import Caller, Gateway
from schemas.subscription import ChangeCommand


def confirm_change(gateway: Gateway, caller: Caller, command: ChangeCommand) -> ChangeView:
    """``change_plan``; a QuoteStale or QuoteExpired carries a new ``quote`` of the same change."""
    try:
        return change_plan(gateway, caller, command)
    except (QuoteStale, QuoteExpired) as error:
        if (quote := make_new_quote(gateway, caller, command)) is not None:
            error.members["quote"] = quote
        raise


def make_new_quote(gateway: Gateway, caller: Caller, command: ChangeCommand) -> Quote | None:
    """A new quote of what was wanted; None if that is not possible any more or Stripe does not answer."""
    said, _ = decode_token(gateway.config, command.quote or "")
    plan, quantity = command.plan or said.get("plan"), command.quantity or said.get("quantity")
    if not isinstance(plan, str) or not isinstance(quantity, int):  # another release said it in other words
        return None
    try:
        return quote_change(gateway, caller, plan, quantity)
    except GatewayError:
        return None
