"""The subscription items that result from a request."""

from gateway.sandbox.billing import redemption, taxes
from gateway.sandbox.billing.cycle import period_at
from gateway.sandbox.errors import invalid, required
from gateway.sandbox.json_types import Json
from gateway.sandbox.metadata import merged
from gateway.sandbox.objects.catalog import build_price, plan_of
from gateway.sandbox.objects.subscription import build_item, items_of, metered
from gateway.sandbox.work import Work

_NOT_RECURRING = (
    "The price specified is set to `type=one_time` but this field only accepts prices with `type=recurring`."
)
_INACTIVE = "The price specified is inactive. This field only accepts active prices."
_NO_ITEM_LEFT = "A subscription must have at least one active plan."


def price_of(work: Work, item: Json, param: str) -> Json:
    """Return the price that an item names, or a new one of its ``price_data``. Raise 400 unless it is recurring.

    A named price must be active. A price of ``price_data`` is never active, because only its item uses it.
    https://docs.stripe.com/products-prices/pricing-models#inline-pricing
    """
    if item.get("price_data"):
        data = item["price_data"]
        product = work.get("product", data["product"], param=param, status=400)
        return work.add(build_price(work, data | {"active": False}, product["id"]))
    if not item.get("price"):
        raise required(param)
    price = work.get("price", item["price"], param=param, status=400)
    if price["recurring"] is None:
        raise invalid(_NOT_RECURRING, param=param)
    if not price["active"]:
        raise invalid(_INACTIVE, param=param)
    return price


def with_price(item: Json) -> Json:
    """Return the requested item with its price, which the older parameter ``plan`` may name."""
    return {"price": item["plan"]} | item if "plan" in item else item


def refuse_doubles(prices: list[Json]) -> None:
    """Raise 400 if two items share a price.

    The error names the parameter ``plan``, as recorded from Stripe's API, 2026-08-26.dahlia.
    """
    seen: set[str] = set()
    for price in prices:
        if price["id"] in seen:
            text = f"Cannot create a Subscription with multiple Subscription Items with the same Price: {price['id']}"
            raise invalid(text, param="plan")
        seen.add(price["id"])


def changed(work: Work, subscription: Json, asked: list[Json]) -> list[Json]:
    """Return the subscription's items after the requested changes. Items that stay keep their order."""
    after = {item["id"]: item for item in items_of(subscription)}
    for index, wanted in enumerate(with_price(item) for item in asked):
        param = f"items[{index}]"
        if "id" not in wanted:
            new = _added(work, subscription, wanted, param)
            after[new["id"]] = new
        elif wanted["id"] not in after:
            text = f"No such subscription item: '{wanted['id']}'"
            raise invalid(text, param=f"{param}[id]", code="resource_missing")
        elif wanted.get("deleted"):
            del after[wanted["id"]]
        else:
            after[wanted["id"]] = _swapped(work, subscription, after[wanted["id"]], wanted, param)
    if not after:
        raise invalid(_NO_ITEM_LEFT)
    refuse_doubles([item["price"] for item in after.values()])
    return list(after.values())


def _added(work: Work, subscription: Json, wanted: Json, param: str) -> Json:
    """Return a new item in the current period, which may begin before the item (as recorded from Stripe's API)."""
    price = _same_currency(price_of(work, wanted, f"{param}[price]"), subscription["currency"], param)
    period = period_at(subscription, price, work.now)
    built = build_item(work, subscription["id"], price, wanted.get("quantity"), period, wanted.get("metadata") or {})
    return built | terms(work, subscription, built, wanted, param)


def _swapped(work: Work, subscription: Json, item: Json, wanted: Json, param: str) -> Json:
    new = dict(item)
    if "price_data" in wanted or wanted.get("price", item["price"]["id"]) != item["price"]["id"]:
        price = _same_currency(price_of(work, wanted, f"{param}[price]"), item["price"]["currency"], param)
        new |= {"price": price, "plan": plan_of(price)}
        new.pop("quantity", None)
        if not metered(price):
            new["quantity"] = 1  # a new price resets the quantity unless the request sets it
        if interval(price) != interval(item["price"]):
            new["current_period_start"], new["current_period_end"] = period_at(subscription, price, work.now)
    if "quantity" in wanted and not metered(new["price"]):
        new["quantity"] = wanted["quantity"]
    if "metadata" in wanted:
        new["metadata"] = merged(item["metadata"], wanted["metadata"])
    return new | terms(work, subscription, item, wanted, param)


def terms(work: Work, subscription: Json, item: Json, wanted: Json, param: str) -> Json:
    """Return the requested discounts and tax rates of an item, {} for none."""
    rates = {}
    if "tax_rates" in wanted:
        rates["tax_rates"] = taxes.chosen(work, wanted["tax_rates"], f"{param}[tax_rates]")
    if "discounts" not in wanted:
        return rates
    owner = {
        "customer": subscription["customer"],
        "subscription": subscription["id"],
        "subscription_item": item["id"],
    }
    currency = subscription["currency"]
    return rates | {"discounts": redemption.redeem(work, wanted["discounts"], owner, currency, f"{param}[discounts]")}


def interval(price: Json) -> tuple[str, int]:
    """Return the unit and the number of units of the price's interval."""
    return price["recurring"]["interval"], price["recurring"]["interval_count"]


def _same_currency(price: Json, currency: str, param: str) -> Json:
    if price["currency"] != currency:
        only = price["currency"]
        text = f"The price specified only supports `{only}`. This doesn't match the expected currency: `{currency}`."
        raise invalid(text, param=f"{param}[price]")
    return price
