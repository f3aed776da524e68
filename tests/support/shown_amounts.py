"""Amounts as the Billing page writes them, to compare a page with a quote or with Stripe's objects."""

from collections.abc import Iterable, Iterator
from typing import Any

from stripe import StripeClient

from tests.support.json_types import Json

QUOTED = ("subtotal", "discounts", "taxes", "balance", "amount_due_now", "amount_due_on_billing_date", "credit")


def money(amount: int) -> str:
    """Return an amount in US dollars as an English page shows it."""
    return f"{'-' if amount < 0 else ''}${abs(amount) / 100:,.2f}"


def quoted(quote: Json) -> set[str]:
    """Return the amounts that a page may show of a quote."""
    return {money(line["amount"]) for line in quote["lines"]} | {money(quote[name]) for name in QUOTED}


def priced(stripe: StripeClient) -> set[str]:
    """Return the prices on sale at Stripe. The page shows a price far below a cent by the million."""
    answer: Any = stripe.raw_request("get", "/v1/prices", limit=100, **{"expand[]": "data.tiers"}).data
    return {money(round(each)) for price in answer["data"] for each in list_unit_amounts(price)}


def list_unit_amounts(price: Json) -> Iterator[float]:
    for each in [price, *(price.get("tiers") or [])]:
        amount = float(each.get("unit_amount_decimal") or 0)
        yield amount if amount >= 1 else amount * 1_000_000


def invoiced(stripe: StripeClient, customer: str, names: Iterable[str] = ("total", "amount_remaining")) -> set[str]:
    """Return the amounts of the customer's invoices at Stripe."""
    return {money(invoice[name]) for invoice in stripe.v1.invoices.list({"customer": customer}) for name in names}


def estimated(stripe: StripeClient, subscription: str) -> set[str]:
    """Return the amounts that the page may show of the next invoice of a subscription without usage."""
    preview = stripe.v1.invoices.create_preview({"subscription": subscription})
    parts = {True: 0, False: 0}
    for line in preview.lines.data:
        parts[is_proration(line.to_dict(for_json=True))] += line.amount
    return {money(amount) for amount in (*parts.values(), preview.amount_due) if amount}


def is_proration(line: Json) -> bool:
    return any(
        (line["parent"][kind] or {}).get("proration") for kind in ("subscription_item_details", "invoice_item_details")
    )


def upcoming(stripe: StripeClient, subscription: str) -> str:
    """Return what Stripe would charge on the billing date."""
    return money(stripe.v1.invoices.create_preview({"subscription": subscription}).amount_due)
