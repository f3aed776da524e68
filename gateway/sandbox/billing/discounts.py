"""The effect of discounts on invoices and prorations, and their life on a subscription.

https://docs.stripe.com/billing/subscriptions/coupons. Discounts of an item come before those of its invoice. Several
discounts apply one after another, each to what the others left. A fixed amount is spread over the lines in proportion.
"""

from dataclasses import replace
from fractions import Fraction

from gateway.sandbox.billing import ledger
from gateway.sandbox.currencies import step
from gateway.sandbox.json_types import Json
from gateway.sandbox.objects.subscription import items_of, with_items
from gateway.sandbox.pricing import Part
from gateway.sandbox.proration import nearest
from gateway.sandbox.store import Store
from gateway.sandbox.work import Work


def of_subscription(work: Work, subscription: Json) -> list[str]:
    """Return the discounts of the subscription's invoices. Those of the customer count only if it has none itself."""
    customer = work.find("customer", subscription["customer"]) or {"discount": None}
    return subscription["discounts"] or ([customer["discount"]["id"]] if customer["discount"] else [])


def live(work: Work, discounts: list[str], moment: int, invoice: str | None = None) -> list[str]:
    """Return the discounts that apply at ``moment``, or to this ``invoice`` of that moment."""
    return [discount for discount in discounts if not _is_over(work, discount, moment, invoice)]


def _is_over(work: Work, discount_id: str, moment: int, invoice: str | None) -> bool:
    end = work.get("discount", discount_id)["end"]
    user = (work.recall("used_up", discount_id) or {"invoice": invoice})["invoice"]
    return user != invoice or (end is not None and moment >= end)


def apply(work: Work, lines: list[Json], group: list[str], currency: str) -> list[Json]:
    """Return the lines with the amounts of their own discounts and of the invoice's ``group``."""
    taken: dict[str, list[Json]] = {line["id"]: [] for line in lines}
    own = dict.fromkeys(discount for line in lines for discount in line["discounts"])
    for discount in [*own, *group]:
        coupon = work.recall("terms", discount) or {}
        chosen = [
            line
            for line in lines
            if (discount in group or discount in line["discounts"]) and _is_discountable(line, coupon)
        ]
        left = [line["amount"] - total(taken[line["id"]]) for line in chosen]
        for line, amount in zip(chosen, _spread(coupon, left, step(currency)), strict=True):
            taken[line["id"]].append({"amount": amount, "discount": discount})
    return [line | _shown(line, taken[line["id"]]) for line in lines]


def _is_discountable(line: Json, coupon: Json) -> bool:
    if not line["discountable"] or line["amount"] <= 0:
        return False
    only = coupon.get("applies_to")
    return not only or bool(line["pricing"] and line["pricing"]["price_details"]["product"] in only["products"])


def _spread(coupon: Json, amounts: list[int], unit: int) -> list[int]:
    """Return the part that the coupon takes off each amount. That each part is rounded like a line is an inference."""
    if coupon["percent_off"] is not None:
        rate = Fraction(str(coupon["percent_off"])) / 100
        return [nearest(amount * rate, unit) for amount in amounts]
    whole = sum(amounts)
    off = min(coupon["amount_off"], whole) // unit
    exact = [Fraction(off * amount, whole) if whole else Fraction(0) for amount in amounts]
    parts = [int(part) for part in exact]
    largest_rests = sorted(range(len(parts)), key=lambda index: parts[index] - exact[index])
    for index in largest_rests[: off - sum(parts)]:
        parts[index] += 1
    return [part * unit for part in parts]


def _shown(line: Json, amounts: list[Json]) -> Json:
    if not line["discountable"]:  # a proration shows what was taken off when it was made
        return {}
    return {
        "discount_amounts": amounts,
        "pretax_credit_amounts": [entry | {"type": "discount"} for entry in amounts],
    }


def total(amounts: list[Json]) -> int:
    """Return the sum of the amounts in minor units."""
    return sum(int(entry["amount"]) for entry in amounts)


def of_line(line: Json) -> list[Json]:
    """Return the discount amounts of the line's own discounts, without those of its invoice."""
    return [entry for entry in line["discount_amounts"] if entry["discount"] in line["discounts"]]


def combined(amounts: list[Json]) -> list[Json]:
    """Return one entry per discount with the sum of its amounts."""
    sums: dict[str, int] = {}
    for entry in amounts:
        sums[entry["discount"]] = sums.get(entry["discount"], 0) + entry["amount"]
    return [{"amount": amount, "discount": discount} for discount, amount in sums.items()]


def net_parts(work: Work, subscription: Json, items: list[Json]) -> dict[str, list[Part]]:
    """Return what each licensed item costs for a whole period after the subscription's discounts.

    Flexible billing mode prorates these amounts (https://docs.stripe.com/billing/subscriptions/billing-mode/compare).
    """
    parts = {item["id"]: ledger.parts(work, item) for item in items}
    rows = [
        {
            "id": f"{item['id']}/{number}",
            "amount": part.amount,
            "discountable": True,
            "discounts": live(work, item["discounts"], work.now),
            "pricing": {"price_details": {"product": item["price"]["product"]}},
        }
        for item in items
        for number, part in enumerate(parts[item["id"]])
    ]
    group = live(work, of_subscription(work, subscription), work.now)
    off = {row["id"]: total(row["discount_amounts"]) for row in apply(work, rows, group, subscription["currency"])}
    return {
        item: [replace(part, amount=part.amount - off[f"{item}/{number}"]) for number, part in enumerate(found)]
        for item, found in parts.items()
    }


def in_force(work: Work, subscription: Json, items: list[Json]) -> list[str]:
    """Return the discounts that a proration of the items takes into account."""
    own = [discount for item in items for discount in item["discounts"]]
    return live(work, [*dict.fromkeys([*own, *of_subscription(work, subscription)])], work.now)


def use_up(work: Work, invoice: Json, lines: list[Json]) -> None:
    """Note which discounts of the duration ``once`` the invoice used. They apply to no other invoice."""
    used = {entry["discount"] for line in lines for entry in line["discount_amounts"] if entry["amount"]}
    for line in lines:
        item = line["parent"][line["parent"]["type"]]["invoice_item"]
        used |= set((work.recall("netted", item) or {"discounts": ()})["discounts"]) if item else set()
    for discount in sorted(used):
        if (work.recall("terms", discount) or {})["duration"] == "once":
            work.note("used_up", discount, {"invoice": invoice["id"]})
            _drop_from_customer(work, invoice["customer"], discount)


def _drop_from_customer(work: Work, customer_id: str, discount: str) -> None:
    customer = work.find("customer", customer_id)
    if customer and customer["discount"] and customer["discount"]["id"] == discount:
        detach_from_customer(work, customer)


def detach_from_customer(work: Work, customer: Json) -> Json:
    """Remove the customer's discount, and return it."""
    discount: Json = customer["discount"]
    work.update(customer, {"discount": None})
    work.tell("customer.discount.deleted", discount)
    return discount


def drop_over(work: Work, subscription: Json) -> Json:
    """Remove the discounts that are used up or have ended from the subscription and its items, and return it."""
    kept = {"discounts": live(work, subscription["discounts"], work.now)}
    items = [item | {"discounts": live(work, item["discounts"], work.now)} for item in items_of(subscription)]
    after = work.update(subscription, kept | with_items(subscription, items))
    announce(work, subscription, after)
    return after


def ends(store: Store, subscription: Json) -> list[int]:
    """Return when the discounts of the subscription and of its items end, for those that do."""
    found = [store.find("discount", discount) for discount in _all_of(subscription)]
    return [int(discount["end"]) for discount in found if discount and discount["end"] is not None]


def announce(work: Work, before: Json | None, after: Json) -> None:
    """Make the events of the discounts that the subscription and its items gained and lost.

    Stripe documents these events for customers. That they also come for subscriptions is reported by its users.
    """
    old = _all_of(before) if before else []
    new = _all_of(after)
    for discount in new:
        if discount not in old:
            work.tell("customer.discount.created", work.get("discount", discount))
    for discount in old:
        if discount not in new:
            work.tell("customer.discount.deleted", work.get("discount", discount))


def _all_of(subscription: Json) -> list[str]:
    return [*subscription["discounts"], *(found for item in items_of(subscription) for found in item["discounts"])]
