"""The payment method that a subscription or a customer has on file."""

from gateway.sandbox.json_types import Json
from gateway.sandbox.work import Work


def method(work: Work, subscription: Json | None, customer_id: str) -> Json | None:
    """Return the subscription's own payment method or source, else the customer's, or None.

    https://docs.stripe.com/billing/subscriptions/payment-methods-setting#payment-method-priority
    """
    customer = work.get("customer", customer_id)
    own = subscription or {"default_payment_method": None, "default_source": None}
    found = (
        own["default_payment_method"]
        or own["default_source"]
        or customer["invoice_settings"]["default_payment_method"]
        or customer["default_source"]
    )
    return work.find("payment_method", found) if found else None
