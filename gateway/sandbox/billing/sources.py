"""The cards of Stripe's older interface, and the default one of a customer (https://docs.stripe.com/api/cards)."""

from gateway.sandbox.billing import cards
from gateway.sandbox.errors import invalid, missing, not_built
from gateway.sandbox.json_types import Json
from gateway.sandbox.objects import source
from gateway.sandbox.objects.payment_method import build
from gateway.sandbox.objects.special_cards import BY_TOKEN
from gateway.sandbox.work import Work


def add(work: Work, customer: Json, token: str, metadata: Json, *, default: bool = False) -> Json:
    """Add the card of a token such as ``tok_visa`` to the customer, and return it as a payment method.

    It becomes the default source if ``default`` says so or if it is the customer's only source.
    """
    if not token.startswith("tok_"):
        raise not_built(f"the source {token}, only card tokens such as tok_visa", "source")
    if token not in BY_TOKEN:
        raise invalid(f"No such token: '{token}'", param="source", code="resource_missing")
    card = build(work, BY_TOKEN[token], {"metadata": metadata})
    card |= {"id": work.ids.new("card"), "customer": customer["id"]}
    decline = cards.refusal(card)
    if decline:
        raise cards.declined(decline)
    work.add(card)
    work.tell("customer.source.created", source.shown(card))
    if default or customer["default_source"] is None:
        work.update(customer, {"default_source": card["id"]})
    return card


def of_customer(work: Work, customer: str) -> list[Json]:
    """Return the customer's sources as payment methods, newest first."""
    return [row for row in work.select("payment_method", customer) if row["id"].startswith(source.PREFIX)]


def find(work: Work, customer: str, source_id: str, *, param: str, status: int = 400) -> Json:
    """Return a source of the customer as a payment method, or raise an error about ``param``."""
    for found in of_customer(work, customer):
        if found["id"] == source_id:
            return found
    raise missing("source", source_id, param=param, status=status)


def forget_default(work: Work, customer: Json, source_id: str) -> None:
    """Make the newest other source the default if this one was. That Stripe picks the newest is documented."""
    if customer["default_source"] != source_id:
        return
    others = [row["id"] for row in of_customer(work, customer["id"]) if row["id"] != source_id]
    work.update(customer, {"default_source": others[0] if others else None})
