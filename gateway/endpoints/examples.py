"""One example of each request and response body, for the OpenAPI document."""

from collections.abc import Mapping
from types import MappingProxyType

from marshmallow import Schema

from gateway.endpoints.plan_examples import PLUS, PRICE
from gateway.endpoints.usage_examples import ESTIMATE, EVENT, METER_USAGE, SPEND_ALERTS
from gateway.json_types import Json
from schemas import (
    billing_details,
    billing_portal,
    changes,
    entitlements,
    flags,
    history,
    invoices,
    plans,
    sales,
    spend_alerts,
    subscription,
    usage,
)

CHANGE_ID = "chg_0f6b1c2d3e4f5a6b7c8d9e0f1a2b3c4d"
PAYMENT_METHOD_ID = "pm_1SYqv2KonnectExample01"
INVOICE_ID = "in_1SYqv2KonnectExample02"
SIGNED_QUOTE = "eyJhbGciOiJIUzI1NiJ9.eyJhdWQiOiJxdW90ZSJ9.c2lnbmF0dXJl"
SETUP_INTENT = "seti_1SYqv2KonnectExample04_secret_example"
ABSENT = None
PERIOD_START, PERIOD_END = "2026-11-01T09:00:00Z", "2026-12-01T09:00:00Z"
NOW = "2026-11-16T09:00:00Z"

PAYMENT_METHOD: Json = {
    "id": PAYMENT_METHOD_ID,
    "type": "card",
    "label": "Visa •••• 4242",
    "brand": "visa",
    "last4": "4242",
    "exp_month": 8,
    "exp_year": 2031,
}
LISTED_PAYMENT_METHOD: Json = {**PAYMENT_METHOD, "is_default": True, "is_expired": False}
PERIOD: Json = {"start": PERIOD_START, "end": PERIOD_END}
DETAILS: Json = {
    "organization_id": "org_1",
    "plan": "plus",
    "plan_name": "Plus",
    "requested_plan": "plus",
    "status": "active",
    "standing": "good",
    "quantity": 2,
    "currency": "usd",
    "price": PRICE,
    "discounts": [{"name": "Launch", "percent_off": 20.0, "amount_off": None, "currency": None, "ends_at": PERIOD_END}],
    "returned_payments": [],
    "grant": None,
    "current_period": PERIOD,
    "ends_at": None,
    "paused": False,
    "paused_until": None,
    "scheduled": False,
    "managed_by_sales": False,
    "billing_date": PERIOD_END,
    "upcoming_charges": None,
    "trial": None,
    "payment_method": PAYMENT_METHOD,
    "latest_invoice": {"id": INVOICE_ID, "status": "paid", "total": 0, "currency": "usd"},
    "payment_problem": None,
    "credit_balance": 0,
    "pending_change": None,
    "actions": ["change_quantity", "change_plan", "change_interval", "cancel_plan", "contact_sales"],
    "as_of": NOW,
    "version": 4,
}
CHANGE: Json = {
    "id": CHANGE_ID,
    "state": "applied",
    "from_plan": "free",
    "to_plan": "plus",
    "quantity": 2,
    "interval": None,
    "error": None,
    "created_at": NOW,
}
CHANGE_RESULT: Json = {**CHANGE, "client_secret": ABSENT, "subscription": DETAILS}
PROCESSING: Json = {**CHANGE_RESULT, "state": "processing"}
QUOTE: Json = {
    "token": SIGNED_QUOTE,
    "expires_at": "2026-11-16T09:15:00Z",
    "proration_date": NOW,
    "plan": "plus",
    "quantity": 2,
    "interval": "month",
    "max_quantity": 40,
    "currency": "usd",
    "lines": [
        {
            "description": "Remaining time on 2 x Plus after 16 Nov 2026",
            "amount": 25000,
            "currency": "usd",
            "period": {"start": NOW, "end": PERIOD_END},
            "proration": True,
        },
        {
            "description": "2 x Plus (at $250.00 / month)",
            "amount": 50000,
            "currency": "usd",
            "period": {"start": PERIOD_END, "end": "2027-01-01T09:00:00Z"},
            "proration": False,
        },
    ],
    "subtotal": 75000,
    "discounts": -15000,
    "taxes": 11400,
    "taxes_included": 0,
    "balance": -1400,
    "amount_due_now": 0,
    "amount_due_on_billing_date": 70000,
    "amount_unpaid": 0,
    "credit": 0,
    "billing_date": PERIOD_END,
    "ends_at": None,
    "ends_at_cleared": None,
    "estimate": False,
    "over_limits": [],
}
INVOICE: Json = {
    "id": INVOICE_ID,
    "number": "KONNECT-0001",
    "status": "open",
    "billing_reason": "subscription_cycle",
    "currency": "usd",
    "total": 75000,
    "taxes": 0,
    "amount_due": 75000,
    "amount_paid": 0,
    "amount_remaining": 75000,
    "amount_refunded": 0,
    "created": PERIOD_END,
    "next_payment_attempt": "2026-12-04T09:00:00Z",
    "payment_under_way": False,
    "hosted_invoice_url": "https://invoice.stripe.com/i/example",
    "invoice_pdf": "https://invoice.stripe.com/i/example/pdf",
}
LINE: Json = {
    "kind": "plan",
    "description": "2 x Plus (at $250.00 / month)",
    "quantity": 2,
    "amount": 50000,
    "discount": -10000,
    "tax": 7600,
    "period": {"start": PERIOD_END, "end": "2027-01-01T09:00:00Z"},
}
USAGE = "1370000 x API calls (at $0.00002 / month)"
USAGE_LINE: Json = {
    **LINE,
    "kind": "usage",
    "description": USAGE,
    "quantity": 1370000,
    "amount": 27400,
    "period": PERIOD,
}
ADDRESS: Json = {
    "line1": "Hafenstraße 1",
    "line2": None,
    "city": "Hamburg",
    "state": None,
    "postal_code": "20457",
    "country": "DE",
}
BILLING_DETAILS: Json = {"name": "Example GmbH", "email": "billing@example.com", "address": ADDRESS}
TAX_ID: Json = {"type": "eu_vat", "value": "DE123456789"}
ENTRY: Json = {
    "version": 4,
    "recorded_at": NOW,
    "actor": {"type": "user", "id": "user_1"},
    "cause": {"type": "change", "id": CHANGE_ID},
    "plan": {
        "plan": "plus",
        "requested_plan": "plus",
        "status": "active",
        "standing": "good",
        "quantity": 2,
        "currency": "usd",
        "subscription_id": "sub_1SYqv2KonnectExample03",
        "current_period_start": PERIOD_START,
        "current_period_end": PERIOD_END,
        "cancel_at": None,
        "returned_payments": [],
        "granted_plan": None,
        "granted_until": None,
    },
}
CURRENT_PLAN: Json = {
    "organization_id": "org_1",
    "plan": "plus",
    "plan_name": "Plus",
    "status": "active",
    "standing": "good",
    "quantity": 2,
    "granted_until": None,
    "version": 4,
}
EVALUATION: Json = {
    "key": "email_support",
    "value": True,
    "reason": "TARGETING_MATCH",
    "variant": "plus",
    "metadata": {"standing": "good"},
}

OF_SCHEMA: Mapping[type[Schema], Json] = MappingProxyType(
    {
        billing_details.BillingDetailsSchema: {**BILLING_DETAILS, "tax_ids": [TAX_ID]},
        billing_details.PaymentMethodListSchema: {"data": [LISTED_PAYMENT_METHOD]},
        billing_details.DefaultPaymentMethodSchema: {"payment_method": PAYMENT_METHOD_ID},
        billing_details.ListedPaymentMethodSchema: LISTED_PAYMENT_METHOD,
        billing_details.SetupIntentSchema: {
            "client_secret": SETUP_INTENT,
            "publishable_key": "pk_test_example",
        },
        billing_details.ShownBillingDetailsSchema: {
            **BILLING_DETAILS,
            "tax_ids": [{**TAX_ID, "verification": "pending"}],
        },
        billing_portal.OpenPortalSchema: {"return_url": "https://konnect.example/billing"},
        billing_portal.PortalSchema: {"url": "https://billing.stripe.com/p/session/test_example"},
        entitlements.CurrentPlanListSchema: {"data": [CURRENT_PLAN]},
        entitlements.CurrentPlanSchema: CURRENT_PLAN,
        entitlements.EntitlementsSchema: {
            **CURRENT_PLAN,
            "limits": PLUS["limits"],
            "features": PLUS["features"],
            "levels": {"services": 2},
            "over_limits": [],
            "over_spend_limit": False,
        },
        entitlements.PlansQuerySchema: {"organization_ids": ["org_1"]},
        flags.BulkEvaluationSchema: {"flags": [EVALUATION]},
        flags.EvaluationRequestSchema: {"context": {"targetingKey": "org_1"}},
        flags.EvaluationSchema: EVALUATION,
        history.HistorySchema: {"data": [ENTRY], "has_more": False},
        invoices.InvoiceListSchema: {"data": [INVOICE], "has_more": False},
        invoices.InvoiceSchema: INVOICE,
        invoices.DetailedInvoiceSchema: {
            **INVOICE,
            "lines": [LINE, {**USAGE_LINE, "discount": 0, "tax": 0}],
            "calculated_due": 74600,
            "differences": [{"cause": "usage", "amount": 400}],
        },
        invoices.ReceiptSchema: {"receipt_url": "https://pay.stripe.com/receipts/example"},
        plans.PlanListSchema: {"data": [PLUS]},
        sales.SalesInquirySchema: {
            "name": "Kim Example",
            "email": "kim@example.com",
            "company": "Example GmbH",
            "message": "We need more than 100 units.",
        },
        sales.StoredInquirySchema: {"id": "inq_0f6b1c2d3e4f5a6b7c8d9e0f1a2b3c4d", "created_at": NOW},
        spend_alerts.ShownSpendAlertsSchema: {"currency": "usd", **SPEND_ALERTS},
        spend_alerts.SpendAlertsSchema: SPEND_ALERTS,
        changes.ChangeCommandSchema: {"plan": "plus", "quantity": 2},
        subscription.ChangeListSchema: {"data": [CHANGE]},
        subscription.ChangeResultSchema: CHANGE_RESULT,
        changes.CreateSubscriptionSchema: {"plan": "free"},
        changes.CancellationReasonSchema: {"feedback": "missing_features", "comment": "We need SAML."},
        changes.ModifySubscriptionSchema: {"quote": SIGNED_QUOTE},
        subscription.PlanDetailsSchema: DETAILS,
        usage.RecordedUsageSchema: {"new": [EVENT["id"]], "known": [], "refused": []},
        usage.UsageEstimateSchema: {"estimate": ESTIMATE},
        usage.UsageLevelSchema: {"organization_id": "org_1", "meter": "services", "value": 7},
        usage.UsageSchema: {"events": [EVENT]},
        usage.UsageSeriesSchema: {"from": "2026-11-01", "to": "2026-11-16", "meters": [METER_USAGE]},
        subscription.QuoteSchema: QUOTE,
    }
)
