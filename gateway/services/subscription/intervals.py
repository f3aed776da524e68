"""A change between the monthly and the yearly interval. Stripe credits the old period and begins a new one.

A plan's metered prices stay monthly, so its items may have several intervals.
https://docs.stripe.com/billing/subscriptions/mixed-interval
"""

from gateway.catalog import CatalogPlan
from gateway.errors import ContactSalesRequired, InvalidRequest, UnpaidInvoice
from gateway.services.subscription.billing_state import BillingState


def check_interval(billing: BillingState, target: CatalogPlan, interval: str | None) -> None:
    """Raise if the organization cannot name ``interval`` for ``target``, or move to the interval of ``billing``.

    Raise InvalidRequest for the floor plan. Raise ContactSalesRequired if the subscription has other items. Their
    periods would restart too, in a second that no quote knows. Raise UnpaidInvoice if the present year may be
    unpaid, because Stripe would credit it to the customer's balance.
    """
    if interval is not None and target.is_floor:
        raise InvalidRequest(
            "The interval is not possible.", errors={"interval": [f"{target.name} costs nothing in any interval."]}
        )
    if not billing.contract.moves or billing.subscription is None or billing.base_item is None:
        return
    others = [each for each in billing.subscription.items if each["id"] != billing.base_item["id"]]
    if any(not each.get("metered") for each in others):
        raise ContactSalesRequired("The subscription has other items. Please contact our sales team.")
    is_paid_year = billing.base_item.get("interval") == "year" and not billing.contract.leftover
    if is_paid_year and billing.unsettled_renewals:
        raise UnpaidInvoice("An invoice of the present year is not settled yet.")
