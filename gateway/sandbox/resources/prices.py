"""Endpoints of prices (https://docs.stripe.com/api/prices)."""

from stripe.params import PriceCreateParams, PriceListParams, PriceRetrieveParams, PriceUpdateParams

from gateway.sandbox.errors import invalid, required
from gateway.sandbox.json_types import Json
from gateway.sandbox.metadata import merged
from gateway.sandbox.objects import tiers
from gateway.sandbox.objects.catalog import build_price, build_product, plan_of
from gateway.sandbox.objects.subscription import items_of, with_items
from gateway.sandbox.pagination import CURSORS, page
from gateway.sandbox.routing import Routes
from gateway.sandbox.work import Work

routes = Routes()
_FIELDS = "active lookup_key metadata nickname tax_behavior transfer_lookup_key"
_NO_METER = "Starting with Stripe version `2025-03-31.basil`, metered prices must be backed by meters."
_MOST_INTERVALS = {"day": 1095, "week": 156, "month": 36, "year": 3}
_RECURRING = "recurring[interval] recurring[interval_count] recurring[meter] recurring[usage_type]"


@routes.post(
    "/v1/prices",
    PriceCreateParams,
    f"{_FIELDS} {_RECURRING} currency product product_data[name] product_data[id] product_data[metadata] unit_amount "
    "unit_amount_decimal billing_scheme tiers tiers_mode",
)
def create(work: Work, params: Json) -> Json:
    """Create a price for an existing product or for a new one."""
    _check_amounts(params)
    if params.get("recurring"):
        _check_interval(params["recurring"])
    _check_meter(work, params.get("recurring", {}))
    if "product" in params:
        product = work.get("product", params["product"], param="product", status=400)
    elif "product_data" in params:
        product = work.add(build_product(work, params["product_data"]))
    else:
        raise required("product")
    _free_lookup_key(work, params)
    price = build_price(work, params, product["id"])
    if "tiers" in params:
        tiers.keep(work, price, tiers.build(params["tiers"]))
    return work.add(price)


def _check_amounts(params: Json) -> None:
    """Require either tiers or an amount per unit, but not both."""
    amounts = params.keys() & {"unit_amount", "unit_amount_decimal"}
    if params.get("billing_scheme") != "tiered":
        tiered = sorted(params.keys() & {"tiers", "tiers_mode"})
        if tiered:
            raise invalid(f"`{tiered[0]}` requires `billing_scheme` to be `tiered`.", param=tiered[0])
        if not amounts:
            raise invalid("Prices require an `unit_amount` or `unit_amount_decimal` parameter to be set.")
        return
    for needed in ("tiers", "tiers_mode"):
        if not params.get(needed):
            raise required(needed)
    if amounts:
        name = min(amounts)
        raise invalid(f"You cannot set `{name}` when `billing_scheme` is `tiered`.", param=name)


def _check_interval(recurring: Json) -> None:
    """Refuse an interval longer than three years, the limit in Stripe's SDK. The text is the sandbox's own."""
    count, most = recurring.get("interval_count", 1), _MOST_INTERVALS[recurring["interval"]]
    if not 0 < count <= most:
        text = f"`interval_count` must be between 1 and {most} with this interval."
        raise invalid(text, param="recurring[interval_count]", code="parameter_invalid_integer")


def _check_meter(work: Work, recurring: Json) -> None:
    """Require an active meter for a metered price, and refuse a meter for any other price."""
    meter_id = recurring.get("meter")
    if recurring.get("usage_type", "licensed") == "licensed":
        if meter_id:
            raise invalid("`recurring[meter]` requires `usage_type` to be `metered`.", param="recurring[meter]")
        return
    if not meter_id:
        raise invalid(_NO_METER)
    meter = work.get("billing.meter", meter_id, param="recurring[meter]", status=400)
    if meter["status"] != "active":
        raise invalid(f"The meter {meter_id} is inactive. Prices need an active meter.", param="recurring[meter]")


def _free_lookup_key(work: Work, params: Json) -> None:
    """Take the lookup key from the price that holds it, which gets its own event.

    Raise a 400 unless the request sets ``transfer_lookup_key``, because a lookup key names only one price.
    """
    key = params.get("lookup_key")
    holder = next((price for price in work.select("price") if key and price["lookup_key"] == key), None)
    if holder is None:
        return
    if not params.get("transfer_lookup_key"):
        text = (
            f"A price (`{holder['id']}`) already uses that lookup key. To transfer it, set `transfer_lookup_key=true`."
        )
        raise invalid(text, param="lookup_key")
    work.update(holder, {"lookup_key": None})


@routes.get("/v1/prices/{price}", PriceRetrieveParams)
def retrieve(work: Work, params: Json, price: str) -> Json:
    """Return a price."""
    return work.get("price", price, param="price")


@routes.post("/v1/prices/{price}", PriceUpdateParams, _FIELDS)
def update(work: Work, params: Json, price: str) -> Json:
    """Set the given fields. A price's amounts never change."""
    found = work.get("price", price, param="price")
    changes = {key: value for key, value in params.items() if key not in {"expand", "transfer_lookup_key"}}
    changes |= {key: changes[key] or None for key in ("lookup_key", "nickname") if key in changes}
    if changes.get("lookup_key") not in (None, found["lookup_key"]):
        _free_lookup_key(work, params)
    if "metadata" in changes:
        changes["metadata"] = merged(found["metadata"], changes["metadata"])
    updated = work.update(found, changes)
    if updated != found:
        _refresh_items(work, updated)
    return updated


def _refresh_items(work: Work, price: Json) -> None:
    """Show the changed price in subscription items. Stripe sends an event for the price, but none per subscription."""
    for subscription in list(work.select("subscription")):
        items = items_of(subscription)
        if any(item["price"]["id"] == price["id"] for item in items):
            shown = {"price": price, "plan": plan_of(price)}
            after = [item | shown if item["price"]["id"] == price["id"] else item for item in items]
            work.amend(subscription, with_items(subscription, after))


@routes.get("/v1/prices", PriceListParams, f"{CURSORS} active currency lookup_keys product type")
def list_all(work: Work, params: Json) -> Json:
    """List prices, filtered by lookup key, product, currency, type and ``active``."""
    wanted = {key: params[key] for key in ("active", "currency", "product", "type") if key in params}
    keys = params.get("lookup_keys")
    rows = (
        row
        for row in work.select("price")
        if wanted.items() <= {key: row[key] for key in wanted}.items() and (keys is None or row["lookup_key"] in keys)
    )
    return page(work, rows, params, kind="price", url="/v1/prices")
