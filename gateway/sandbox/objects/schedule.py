"""Builder of subscription schedules (https://docs.stripe.com/api/subscription_schedules/object)."""

from gateway.sandbox.json_types import Json
from gateway.sandbox.objects.subscription import items_of, period_end, period_start
from gateway.sandbox.work import Work

_FEES: Json = {"application_fee_percent": None, "billing_thresholds": None, "on_behalf_of": None, "transfer_data": None}


def build(work: Work, subscription: Json) -> Json:
    """Return a new schedule whose one phase is the present period of a subscription."""
    phase = {"end_date": period_end(subscription), "start_date": period_start(subscription)}
    return {
        "id": work.ids.new("sub_sched"),
        "object": "subscription_schedule",
        "application": None,
        "billing_mode": subscription["billing_mode"],
        "canceled_at": None,
        "completed_at": None,
        "created": work.now,
        "current_phase": phase,
        "customer": subscription["customer"],
        "customer_account": None,
        "default_settings": _terms(subscription) | {"billing_cycle_anchor": "automatic"},
        "end_behavior": "release",
        "livemode": False,
        "metadata": {},
        "pause_schedules": [],
        "phases": [_phase(subscription) | phase],
        "released_at": None,
        "released_subscription": None,
        "status": "active",
        "subscription": subscription["id"],
        "test_clock": subscription["test_clock"],
    }


def _phase(subscription: Json) -> Json:
    return _terms(subscription) | {
        "add_invoice_items": [],
        "billing_cycle_anchor": None,
        "currency": subscription["currency"],
        "default_tax_rates": subscription["default_tax_rates"],
        "discounts": [],
        "items": [_item(item) for item in items_of(subscription)],
        "metadata": subscription["metadata"],
        "proration_behavior": "create_prorations",
        "trial_end": subscription["trial_end"],
    }


def _terms(subscription: Json) -> Json:
    """Return what the settings of a schedule and its phases have in common."""
    return _FEES | {
        "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
        "collection_method": subscription["collection_method"],
        "default_payment_method": subscription["default_payment_method"],
        "description": subscription["description"],
        "invoice_settings": {"account_tax_ids": None, "days_until_due": None, "issuer": {"type": "self"}},
    }


def _item(item: Json) -> Json:
    quantity = {"quantity": item["quantity"]} if "quantity" in item else {}
    sold = {"plan": item["price"]["id"], "price": item["price"]["id"]}
    return {"billing_thresholds": None, "discounts": [], "metadata": item["metadata"]} | sold | quantity
