"""Builders of subscriptions (https://docs.stripe.com/api/subscriptions/object) and of their items."""

from gateway.sandbox.json_types import Json
from gateway.sandbox.objects.catalog import plan_of
from gateway.sandbox.work import Work

ENDED = frozenset({"canceled", "incomplete_expired"})
"""The statuses that a subscription never leaves."""


_TRIAL_SETTINGS: Json = {"end_behavior": {"billing_cycle_anchor": "now", "missing_payment_method": "create_invoice"}}


def trial_settings(params: Json, old: Json) -> Json:
    """Return the old trial settings, overridden by those that the request gives."""
    given = (params.get("trial_settings") or {}).get("end_behavior", {})
    return {"end_behavior": old["end_behavior"] | given}


def build(work: Work, params: Json, *, currency: str) -> Json:
    """Return a subscription. ``billing.subscribe`` adds its billing mode, collection and items."""
    return {
        "id": work.ids.new("sub"),
        "object": "subscription",
        "application": None,
        "application_fee_percent": None,
        "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
        "billing_cycle_anchor": work.now,
        "billing_cycle_anchor_config": None,
        "billing_mode": None,
        "billing_schedules": [],
        "billing_thresholds": None,
        "cancel_at": None,
        "cancel_at_period_end": False,
        "canceled_at": None,
        "cancellation_details": {"comment": None, "feedback": None, "feedback_option": None, "reason": None},
        "collection_method": "charge_automatically",
        "created": work.now,
        "currency": currency,
        "customer": params["customer"],
        "customer_account": None,
        "days_until_due": None,
        "default_payment_method": params.get("default_payment_method") or None,
        "default_source": params.get("default_source") or None,
        "default_tax_rates": [],
        "description": params.get("description") or None,
        "discounts": [],
        "ended_at": None,
        "invoice_settings": {
            "account_tax_ids": None,
            "custom_fields": None,
            "description": None,
            "footer": None,
            "issuer": {"type": "self"},
        },
        "items": None,
        "latest_invoice": None,
        "livemode": False,
        "managed_payments": {"enabled": False},
        "metadata": params.get("metadata") or {},
        "next_pending_invoice_item_invoice": None,
        "on_behalf_of": None,
        "pause_collection": None,
        "payment_settings": {
            "payment_method_options": None,
            "payment_method_types": None,
            "save_default_payment_method": "off",
        }
        | params.get("payment_settings", {}),
        "pending_invoice_item_interval": None,
        "pending_setup_intent": None,
        "pending_update": None,
        "plan": None,
        "quantity": None,
        "schedule": None,
        "start_date": work.now,
        "status": "incomplete",
        "test_clock": work.get("customer", params["customer"], param="customer")["test_clock"],
        "transfer_data": None,
        "trial_end": None,
        "trial_settings": trial_settings(params, _TRIAL_SETTINGS),
        "trial_start": None,
    }


def items_of(subscription: Json) -> list[Json]:
    """Return the subscription's items, oldest first."""
    items: list[Json] = subscription["items"]["data"]
    return items


def with_items(subscription: Json, items: list[Json]) -> Json:
    """Return the fields that depend on the items.

    Stripe sets ``plan`` and ``quantity`` only for a subscription of one item, as recorded.
    """
    only = items[0] if len(items) == 1 else None
    return {
        "items": {
            "object": "list",
            "data": items,
            "has_more": False,
            "total_count": len(items),
            "url": f"/v1/subscription_items?subscription={subscription['id']}",
        },
        "plan": only["plan"] if only else None,
        "quantity": only.get("quantity") if only else None,
    }


def first_period(subscription: Json) -> tuple[int, int]:
    """Return the start and the end of the period that ends first. Items with several intervals have several periods."""
    periods = [(int(item["current_period_end"]), int(item["current_period_start"])) for item in items_of(subscription)]
    end, start = min(periods)
    return start, end


def period_end(subscription: Json) -> int:
    """Return the earliest end of the items' periods, in unix seconds."""
    return first_period(subscription)[1]


def period_start(subscription: Json) -> int:
    """Return the start of the period that ends first, in unix seconds."""
    return first_period(subscription)[0]


def cut_short(subscription: Json, moment: int) -> Json:
    """Return the fields of the subscription when all its periods end at ``moment``."""
    return with_items(subscription, [item | {"current_period_end": moment} for item in items_of(subscription)])


def build_item(
    work: Work, subscription: str, price: Json, quantity: int | None, period: tuple[int, int], metadata: Json
) -> Json:
    """Return a subscription item. An item of a metered price has no quantity."""
    item: Json = {
        "id": work.ids.new("si"),
        "object": "subscription_item",
        "billing_thresholds": None,
        "created": work.now,
        "current_period_end": period[1],
        "current_period_start": period[0],
        "current_trial": None,
        "discounts": [],
        "metadata": metadata,
        "plan": plan_of(price),
        "price": price,
        "subscription": subscription,
        "tax_rates": [],
    }
    return item if metered(price) else item | {"quantity": 1 if quantity is None else quantity}


def metered(price: Json) -> bool:
    """Return whether Stripe bills the price by usage, in arrears."""
    return bool(price["recurring"]["usage_type"] == "metered")
