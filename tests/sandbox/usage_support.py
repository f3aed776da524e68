"""Shorthands shared by the tests of metered usage."""

from typing import Any

import stripe

from tests.support.json_types import Json
from tests.support.stripe_account import StripeAccount

GRADUATED = [{"up_to": 100, "unit_amount": 0}, {"up_to": "inf", "unit_amount_decimal": "3.6", "flat_amount": 500}]


def subscribe(account: StripeAccount, customer: str, *prices: stripe.Price) -> stripe.Subscription:
    items: Any = [{"price": price.id} for price in prices]
    return account.v1.subscriptions.create({"customer": customer, "items": items})


def tiered(account: StripeAccount, meter: str, mode: str = "graduated", **more: Any) -> stripe.Price:
    return account.metered(meter, billing_scheme="tiered", tiers_mode=mode, tiers=GRADUATED, **more)


def item_at(subscription: stripe.Subscription, price: stripe.Price) -> str:
    return next(item.id for item in subscription.items.data if item.price.id == price.id)


def upcoming(account: StripeAccount, subscription: stripe.Subscription, **details: Any) -> stripe.Invoice:
    params: Any = {"subscription": subscription.id} | ({"subscription_details": details} if details else {})
    return account.v1.invoices.create_preview(params)


def billed(lines: list[Any]) -> list[tuple[str | None, int | None, int]]:
    return [(line.description, line.quantity, line.amount) for line in lines]


def update(account: StripeAccount, subscription: stripe.Subscription, items: Json | list[Json], **more: Any) -> Any:
    params: Any = {"items": items if isinstance(items, list) else [items]} | more
    return account.v1.subscriptions.update(subscription.id, params)
