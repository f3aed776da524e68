"""Endpoints of subscriptions (https://docs.stripe.com/api/subscriptions)."""

from dataclasses import replace

from stripe.params import (
    SubscriptionCancelParams,
    SubscriptionCreateParams,
    SubscriptionListParams,
    SubscriptionMigrateParams,
    SubscriptionPauseParams,
    SubscriptionResumeParams,
    SubscriptionRetrieveParams,
    SubscriptionUpdateParams,
)

from gateway.sandbox.billing import (
    billing_mode,
    change,
    one_time,
    pausing,
    pending_interval,
    pending_update,
    sending,
    sources,
    taxes,
    trials,
)
from gateway.sandbox.billing.cancel import cancel as cancel_now
from gateway.sandbox.billing.subscribe import subscribe
from gateway.sandbox.billing.void import void
from gateway.sandbox.errors import invalid, missing, required
from gateway.sandbox.json_types import Json
from gateway.sandbox.metadata import merged
from gateway.sandbox.objects.subscription import ENDED, items_of, trial_settings
from gateway.sandbox.pagination import CURSORS, in_range, page
from gateway.sandbox.routing import Routes
from gateway.sandbox.work import Work

routes = Routes()
_COMMON = (
    "items[price] items[plan] items[price_data] items[quantity] items[metadata] items[discounts] items[tax_rates] "
    "discounts default_tax_rates automatic_tax[enabled] add_invoice_items[price] "
    "add_invoice_items[quantity] add_invoice_items[metadata] default_payment_method default_source "
    "description metadata payment_behavior off_session payment_settings[save_default_payment_method] "
    "proration_behavior collection_method days_until_due cancel_at cancel_at_period_end trial_end "
    "pending_invoice_item_interval "
    "trial_settings[end_behavior][missing_payment_method]"
)
_MOVING_PERIODS = {"billing_cycle_anchor", "cancel_at", "cancel_at_period_end", "items"}
"""A change of any of these replaces a pending update, because that update was computed for the old periods."""
_CLEARABLE = ("default_payment_method", "default_source", "description")
_BEFORE_THE_FIRST_PAYMENT = {"metadata", "default_payment_method", "default_source", "expand"}
"""What an incomplete subscription can change (https://docs.stripe.com/api/subscriptions/object)."""
_FIXED_ONCE_CANCELED = "A canceled subscription can only update its cancellation_details and metadata."


@routes.post(
    "/v1/subscriptions",
    SubscriptionCreateParams,
    f"{_COMMON} customer currency billing_mode trial_period_days trial_from_plan",
)
def create(work: Work, params: Json) -> Json:
    """Create a subscription and charge its first invoice immediately."""
    if not params.get("customer"):
        raise required("customer")
    if not params.get("items"):
        raise required("items")
    if params.get("payment_behavior") == "pending_if_incomplete":
        text = "Setting `payment_behavior` to `pending_if_incomplete` has no effect when creating a subscription."
        raise invalid(text, param="payment_behavior")
    _check_card(work, params, params["customer"])
    taxes.require_location(work, params, params["customer"])
    return subscribe(work, params)


def _check_card(work: Work, params: Json, customer: str) -> None:
    card_id = params.get("default_payment_method")
    if params.get("default_source"):
        sources.find(work, customer, params["default_source"], param="default_source")
    if not card_id:
        return
    card = work.find("payment_method", card_id)
    if card is None or card["customer"] != customer:
        raise missing("payment_method", card_id, param="default_payment_method", status=400)


@routes.get("/v1/subscriptions/{subscription}", SubscriptionRetrieveParams)
def retrieve(work: Work, params: Json, subscription: str) -> Json:
    """Return a subscription, even a canceled one."""
    return work.get("subscription", subscription)


@routes.post(
    "/v1/subscriptions/{subscription}",
    SubscriptionUpdateParams,
    f"{_COMMON} items[id] items[deleted] proration_date billing_cycle_anchor cancellation_details pause_collection",
)
def update(work: Work, params: Json, subscription: str) -> Json:
    """Change the items, prorated, and the other given fields."""
    found = work.get("subscription", subscription)
    if found["status"] in ENDED:
        return work.update(found, _changes_after_end(found, params))
    if found["status"] == "incomplete" and params.keys() - _BEFORE_THE_FIRST_PAYMENT:
        raise invalid("An incomplete subscription can only update its payment method and metadata.")
    _check_card(work, params, found["customer"])
    taxes.require_location(work, params, found["customer"])
    if params.get("payment_behavior") == "pending_if_incomplete":
        pending_update.refuse_others(params)
        pending_update.refuse_late_payers(work, found)
    if found["pending_update"] and params.keys() & _MOVING_PERIODS:
        found = drop_pending_update(work, found)
    planned = change.plan(work, found, params)
    fields = planned.fields | _settings(found | planned.fields, params, work.now)
    trials.refuse_sent(found | fields)
    if params.get("add_invoice_items"):
        billing_mode.refuse_in_classic(found, "`add_invoice_items` on an update")
        one_time.add(work, found, params["add_invoice_items"])
    if params.get("trial_end") == "now" and found["status"] == "trialing":
        return trials.finish_now(work, found, fields)
    if params.get("trial_end") not in (None, "now"):
        fields |= trials.moved(work, found | fields, params)
    return change.update(work, replace(planned, fields=fields), params.get("payment_behavior", "allow_incomplete"))


def _changes_after_end(found: Json, params: Json) -> Json:
    if params.keys() - {"metadata", "cancellation_details", "expand"}:
        raise invalid(_FIXED_ONCE_CANCELED, code="invalid_canceled_subscription_fields")
    return _notes(found, params)


def _notes(found: Json, params: Json) -> Json:
    changes: Json = {}
    if "metadata" in params:
        changes["metadata"] = merged(found["metadata"], params["metadata"])
    if "cancellation_details" in params:
        given = {key: value or None for key, value in params["cancellation_details"].items()}
        changes["cancellation_details"] = found["cancellation_details"] | given
    return changes


def _settings(found: Json, params: Json, now: int) -> Json:
    """Return the changed fields that no invoice depends on."""
    changes = _notes(found, params) | pending_interval.requested(params, now)
    changes |= {key: params[key] or None for key in _CLEARABLE if key in params}
    if params.keys() & {"collection_method", "days_until_due"}:
        changes |= sending.requested(found, params)
    if "payment_settings" in params:
        changes["payment_settings"] = found["payment_settings"] | params["payment_settings"]
    if "trial_settings" in params:
        changes["trial_settings"] = trial_settings(params, found["trial_settings"])
    if "pause_collection" in params:
        changes["pause_collection"] = pausing.collection_paused(params["pause_collection"], now)
    return changes


def drop_pending_update(work: Work, found: Json) -> Json:
    """Void the invoice of a pending update, which a new update replaces. Return the subscription."""
    invoice_id = pending_update.invoice_of(work, found)
    if invoice_id:
        void(work, work.get("invoice", invoice_id))
    return work.get("subscription", found["id"])


@routes.delete("/v1/subscriptions/{subscription}", SubscriptionCancelParams, "prorate invoice_now cancellation_details")
def cancel(work: Work, params: Json, subscription: str) -> Json:
    """Cancel the subscription immediately."""
    return cancel_now(work, _running(work, subscription), params)


@routes.post("/v1/subscriptions/{subscription}/migrate", SubscriptionMigrateParams, "billing_mode")
def migrate(work: Work, params: Json, subscription: str) -> Json:
    """Move a classic subscription to flexible billing mode."""
    return billing_mode.migrate(work, _running(work, subscription), params)


@routes.post("/v1/subscriptions/{subscription}/pause", SubscriptionPauseParams, "type invoicing_behavior bill_for")
def pause(work: Work, params: Json, subscription: str) -> Json:
    """Pause service and invoices until the subscription is resumed."""
    return pausing.pause_on_request(work, _running(work, subscription), params)


@routes.post(
    "/v1/subscriptions/{subscription}/resume",
    SubscriptionResumeParams,
    "billing_cycle_anchor payment_behavior proration_behavior proration_date",
)
def resume(work: Work, params: Json, subscription: str) -> Json:
    """Resume a paused subscription."""
    return pausing.resume(work, _running(work, subscription), params)


def _running(work: Work, subscription: str) -> Json:
    """Return a subscription that has not ended, or raise a 404 (recorded from Stripe's API, 2026-08-26.dahlia)."""
    found = work.get("subscription", subscription)
    if found["status"] in ENDED:
        raise missing("subscription", subscription)
    return found


@routes.get(
    "/v1/subscriptions",
    SubscriptionListParams,
    f"{CURSORS} customer status price created collection_method test_clock",
)
def list_all(work: Work, params: Json) -> Json:
    """List subscriptions, filtered by customer, status, price, test clock and creation time.

    Canceled subscriptions are listed only if ``status`` includes them. Those on a test clock are listed only if the
    request names the clock or the customer.
    """
    rows = (row for row in work.select("subscription", params.get("customer")) if _listed(row, params))
    return page(work, rows, params, kind="subscription", url="/v1/subscriptions")


def _listed(row: Json, params: Json) -> bool:
    status = params.get("status")
    by_status = {
        None: row["status"] != "canceled",
        "all": True,
        "ended": row["status"] in ENDED,
    }.get(status, row["status"] == status)
    price = params.get("price")
    has_price = price is None or any(item["price"]["id"] == price for item in items_of(row))
    clock = params.get("test_clock")
    by_clock = row["test_clock"] == clock or (clock is None and "customer" in params)
    by_method = params.get("collection_method") in (None, row["collection_method"])
    return by_status and has_price and by_clock and by_method and in_range(row["created"], params.get("created"))
