"""The invoice item that withdraws a credit for unpaid time.

It has the discounts and the taxes of the credit. The two would otherwise not cancel out on their invoice.
"""

from typing import TYPE_CHECKING

from stripe import Invoice, Product

from gateway.db.models import Subscription
from gateway.errors import StripeRejected
from gateway.failpoints import Failpoint, failpoint
from gateway.json_types import Json
from gateway.services.mirror.refresh import refresh
from gateway.services.plan_table.attribution import CREDIT_KEY_PREFIX
from gateway.services.quotes.held_credits import CREDITED_INVOICE, net_amount
from gateway.services.quotes.lines import find_price
from gateway.services.quotes.unpaid_time import UnpaidTime
from gateway.services.runtime import Gateway
from gateway.services.subscription.settlement import MONTHLY, keeps_pending_for_a_year
from gateway.stripe_api.client import is_key_spent, stripe_call
from gateway.stripe_api.snapshots import CHANGE_ID_KEY, ENDED, SubscriptionSnapshot

if TYPE_CHECKING:
    from stripe.params import InvoiceItemCreateParams

CHARGE_TEXT = "Unused time that was not paid. It is credited on invoice {}."


def charge_back(gateway: Gateway, change_id: str | None, unpaid: UnpaidTime, attempt: int) -> None:
    """Add the credit to the subscription's next invoice, which the credit itself reduces.

    If the subscription has ended, its final invoice moves the credit to the customer's balance. The customer's next
    invoice then uses the balance and has this item.
    """
    invoice, held = unpaid.invoice, unpaid.held
    params: InvoiceItemCreateParams = {
        "customer": str(invoice.customer),
        "amount": unpaid.charge,
        "currency": invoice.currency,
        "description": CHARGE_TEXT.format(invoice.number or invoice.id),
        "discountable": False,  # the credit that it charges back is net of the discounts
        "metadata": build_metadata(invoice, change_id),
        **build_tax_params(gateway, min(held.items, key=net_amount)),
    }
    if invoice.parent is not None and invoice.parent.subscription_details is not None:
        subscription_id = str(invoice.parent.subscription_details.subscription)
        if is_running(gateway, subscription_id):
            params["subscription"] = subscription_id
    key = f"{CREDIT_KEY_PREFIX}{invoice.id}:item:{held.charged_back}:{attempt}"
    try:
        if "subscription" in params:
            invoice_pending_monthly(gateway, params["subscription"])
        with stripe_call():
            gateway.stripe.v1.invoice_items.create(params, {"idempotency_key": key, "max_network_retries": 0})
    except StripeRejected as error:
        if "subscription" not in params or is_key_spent(error):
            raise
        # The subscription may have ended since the mirror saw it. Without this, the credit would never be withdrawn.
        refresh(gateway, SubscriptionSnapshot.kind, params["subscription"])
        if is_running(gateway, params["subscription"]):
            raise
        charge_back(gateway, change_id, unpaid, attempt)
    failpoint(Failpoint.CREDIT_CHARGED_BACK)


def build_metadata(invoice: Invoice, change_id: str | None) -> dict[str, str]:
    """Return the metadata by which ``held_credits`` and ``charge_check`` recognize an item or a credit note of ours."""
    ours = {CREDITED_INVOICE: invoice.id}
    return ours if change_id is None else {**ours, CHANGE_ID_KEY: change_id}


def invoice_pending_monthly(gateway: Gateway, subscription_id: str) -> None:
    """Make Stripe invoice a pending item within a month, where it could wait for a year."""
    with gateway.database.reading() as session:
        keeps = keeps_pending_for_a_year(session.get_one(Subscription, subscription_id))
    if keeps:
        with stripe_call():
            # No key of ours, because a second call does no harm, and Stripe would replay a 5xx under the same one.
            gateway.stripe.v1.subscriptions.update(subscription_id, MONTHLY, {"max_network_retries": 0})


def is_running(gateway: Gateway, subscription_id: str) -> bool:
    """Return whether the subscription has not ended. Stripe accepts no items for one that has."""
    with gateway.database.reading() as session:
        return session.get_one(Subscription, subscription_id).status not in ENDED


def build_tax_params(gateway: Gateway, credit: Json) -> "InvoiceItemCreateParams":
    """Return the parameters with which Stripe taxes an invoice item as it taxes the ``credit`` of a price.

    What neither of them says follows from the invoice and from Stripe's tax settings, which are the same for both.
    https://docs.stripe.com/tax/products-prices-tax-categories-tax-behavior
    """
    params: InvoiceItemCreateParams = {}
    if credit["tax_rates"]:
        params["tax_rates"] = [rate["id"] for rate in credit["tax_rates"]]
    if (price_id := find_price(credit)) is None:
        return params
    with stripe_call():
        price = gateway.stripe.v1.prices.retrieve(price_id, {"expand": ["product"]})
    if price.tax_behavior in ("exclusive", "inclusive"):
        params["tax_behavior"] = price.tax_behavior
    if isinstance(price.product, Product) and price.product.tax_code is not None:
        params["tax_code"] = str(price.product.tax_code)
    return params
