"""Builds events about objects that the sandbox does not have, with every required field of the SDK's classes."""

from typing import Any

from tests.support.clock import DAY
from tests.support.json_types import Json

NULL_IN_A_SESSION = """
    adaptive_pricing after_expiration allow_promotion_codes billing_address_collection cancel_url client_reference_id
    client_secret collected_information consent consent_collection currency_conversion customer_account customer_email
    discounts invoice_creation locale managed_payments name_collection origin_context payment_intent payment_link
    payment_method_configuration_details permissions presentment_details recovered_from saved_payment_method_options
    setup_intent shipping_address_collection shipping_cost submit_type url wallet_options
"""


def build_payloads(recorded: dict[str, Json]) -> dict[str, Json]:
    """Return a payload for each type, about the customer and subscription of the recorded story."""
    like = recorded["customer.subscription.updated"]
    subscription = like["data"]["object"]
    customer, now = subscription["customer"], like["created"]
    invoice = recorded["invoice.paid"]["data"]["object"]["id"]
    objects: dict[str, Json] = {
        "checkout.session.completed": session(customer, subscription["id"], invoice, now),
        "credit_note.created": credit_note(customer, invoice, now),
        "subscription_schedule.updated": schedule(subscription, now),
        "subscription_schedule.released": schedule(subscription, now)
        | {"status": "released", "released_at": now, "released_subscription": subscription["id"]}
        | {"subscription": None, "current_phase": None},
    }
    return {
        name: like
        | {"id": f"evt_1{name.replace('.', '').replace('_', '')[:20]}", "type": name, "created": now}
        | {"data": {"object": obj}}
        for name, obj in objects.items()
    }


def session(customer: str, subscription: str, invoice: str, now: int) -> Json:
    """https://docs.stripe.com/api/checkout/sessions/object."""
    known: Json = {
        "id": "cs_test_a1Zr7iWcXkq0",
        "object": "checkout.session",
        "amount_subtotal": 25000,
        "amount_total": 25000,
        "automatic_tax": {"enabled": False, "liability": None, "provider": None, "status": None},
        "created": now - 300,
        "currency": "usd",
        "custom_fields": [],
        "custom_text": {"after_submit": None, "shipping_address": None, "submit": None},
        "customer": customer,
        "customer_creation": None,
        "customer_details": {"email": "owner@acme.example", "name": "Acme", "phone": None, "tax_ids": []},
        "expires_at": now - 300 + DAY,
        "invoice": invoice,
        "livemode": False,
        "metadata": {},
        "mode": "subscription",
        "payment_method_collection": "always",
        "payment_method_options": {"card": {"request_three_d_secure": "automatic"}},
        "payment_method_types": ["card"],
        "payment_status": "paid",
        "phone_number_collection": {"enabled": False},
        "shipping_options": [],
        "status": "complete",
        "subscription": subscription,
        "success_url": "https://konnect.example/billing",
        "total_details": {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0},
        "ui_mode": "hosted_page",
    }
    return dict.fromkeys(NULL_IN_A_SESSION.split()) | known


def credit_note(customer: str, invoice: str, now: int) -> Json:
    """https://docs.stripe.com/api/credit_notes/object. The credit goes to the customer's balance."""
    line: Json = {
        "id": "cnli_1Zr7iWcXkq0a",
        "object": "credit_note_line_item",
        "amount": 5000,
        "description": "Remaining time",
        "discount_amount": 0,
        "discount_amounts": [],
        "invoice_line_item": "il_1Zr7iWcXkq0a",
        "livemode": False,
        "metadata": {},
        "pretax_credit_amounts": [],
        "quantity": 1,
        "tax_rates": [],
        "taxes": [],
        "type": "invoice_line_item",
        "unit_amount": 5000,
        "unit_amount_decimal": "5000",
    }
    return {
        "id": "cn_1Zr7iWcXkq0a",
        "object": "credit_note",
        "amount": 5000,
        "amount_shipping": 0,
        "created": now,
        "currency": "usd",
        "customer": customer,
        "customer_account": None,
        "customer_balance_transaction": "cbtxn_1Zr7iWcXkq0a",
        "discount_amount": 0,
        "discount_amounts": [],
        "effective_at": now,
        "invoice": invoice,
        "lines": {"object": "list", "data": [line], "has_more": False, "url": "/v1/credit_notes/cn_1Zr7iWcXkq0a/lines"},
        "livemode": False,
        "memo": None,
        "metadata": {},
        "number": "JTIG0Z8S-0002-CN-01",
        "out_of_band_amount": None,
        "pdf": "https://stripe.test/cn_1Zr7iWcXkq0a/pdf",
        "post_payment_amount": 5000,
        "pre_payment_amount": 0,
        "pretax_credit_amounts": [],
        "reason": "order_change",
        "refunds": [],
        "shipping_cost": None,
        "status": "issued",
        "subtotal": 5000,
        "subtotal_excluding_tax": 5000,
        "total": 5000,
        "total_excluding_tax": 5000,
        "total_taxes": [],
        "type": "post_payment",
        "voided_at": None,
    }


def schedule(subscription: Json, now: int) -> Json:
    """https://docs.stripe.com/api/subscription_schedules/object. It keeps the subscription's price for two months."""
    item: Any = subscription["items"]["data"][0]
    start, end = item["current_period_start"], item["current_period_end"]
    defaults: Json = {
        "application_fee_percent": None,
        "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
        "billing_cycle_anchor": "automatic",
        "billing_thresholds": None,
        "collection_method": "charge_automatically",
        "default_payment_method": None,
        "description": None,
        "invoice_settings": {"account_tax_ids": None, "days_until_due": None, "issuer": {"type": "self"}},
        "on_behalf_of": None,
        "transfer_data": None,
    }
    phase: Json = defaults | {
        "add_invoice_items": [],
        "billing_cycle_anchor": None,
        "currency": "usd",
        "default_tax_rates": [],
        "discounts": [],
        "end_date": end,
        "items": [
            {"billing_thresholds": None, "discounts": [], "metadata": {}, "price": item["price"]["id"], "quantity": 4}
        ],
        "metadata": {},
        "proration_behavior": "create_prorations",
        "start_date": start,
        "trial_end": None,
    }
    return {
        "id": "sub_sched_1Zr7iWcXkq0a",
        "object": "subscription_schedule",
        "application": None,
        "billing_mode": {"type": "flexible", "flexible": {"proration_discounts": "included"}},
        "canceled_at": None,
        "completed_at": None,
        "created": now - DAY,
        "current_phase": {"start_date": start, "end_date": end},
        "customer": subscription["customer"],
        "customer_account": None,
        "default_settings": defaults,
        "end_behavior": "release",
        "livemode": False,
        "metadata": {},
        "pause_schedules": [],
        "phases": [phase, phase | {"start_date": end, "end_date": end + 30 * DAY}],
        "released_at": None,
        "released_subscription": None,
        "status": "active",
        "subscription": subscription["id"],
        "test_clock": None,
    }
