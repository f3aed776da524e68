"""When Stripe settles a change: with the next invoice, or now.

The prorations of a change wait as pending items for the next invoice. At a yearly price they could wait for a year. A
move to another interval also begins a new period, which is paid in full at its beginning.
https://docs.stripe.com/billing/subscriptions/billing-cycle
"""

from typing import TYPE_CHECKING

from gateway.catalog import Catalog, CatalogPlan, Charge
from gateway.db.models import Subscription
from gateway.services.subscription.billing_state import BillingState
from gateway.services.subscription.terms import find_next_invoice_date, find_scheduled_end
from gateway.services.subscription.trials import is_trialing

if TYPE_CHECKING:
    from stripe.params import SubscriptionUpdateParams


def restarts_periods(billing: BillingState) -> bool:
    """Return whether the change restarts the billing periods. Within a trial, the paid period begins at its end."""
    return billing.contract.moves and not is_trialing(billing.subscription)


def choose_charge(catalog: Catalog, billing: BillingState, source: str, target: CatalogPlan) -> Charge:
    """Return when Stripe settles a change. The paid plan decides, even if it is left for the floor plan.

    A change at a yearly price is settled now if Stripe can charge it, and a move to another interval in any case. A
    month that begins on the floor plan is the exception, because nothing is charged at sign-up.
    """
    is_yearly = billing.contract.interval == "year" and not is_trialing(billing.subscription)
    if restarts_periods(billing) and (is_yearly or source != catalog.floor.key):
        return "now"
    if is_yearly and billing.find_immediate_charge_obstacle() is None:
        return "now"
    left = catalog.find(source) if target.is_floor else None
    return (left or target).charge


def choose_settlement(
    catalog: Catalog, billing: BillingState, source: str, target: CatalogPlan, quantity: int
) -> Charge:
    """Return when Stripe settles a change from ``billing``. A reduction in an unpaid period waits for the billing date.

    If Stripe invoiced it now, it would move the credit for the unpaid time to the customer's balance. A later declined
    payment could then discard the item that charges the credit back, but not the credit.

    A reduction before a scheduled end is settled now. Stripe would write its credit off with the final invoice.
    """
    is_smaller = target.key == source and quantity < billing.plan_state.quantity and not billing.contract.moves
    if (target.is_floor or is_smaller) and billing.unsettled_renewals:
        return "on_billing_date"
    if is_smaller and ends_with_period(billing.subscription):
        return "now"
    return choose_charge(catalog, billing, source, target)


def ends_with_period(subscription: Subscription | None) -> bool:
    """Return whether the next invoice of a subscription is its last one. A trial has charged nothing to credit."""
    if subscription is None or is_trialing(subscription) or (end := find_scheduled_end(subscription)) is None:
        return False
    return end <= find_next_invoice_date(subscription.items)


MONTHLY: "SubscriptionUpdateParams" = {"pending_invoice_item_interval": {"interval": "month"}}
"""Makes Stripe invoice pending items each month.

https://docs.stripe.com/api/subscriptions/update#update_subscription-pending_invoice_item_interval
"""


def keeps_pending_for_a_year(subscription: Subscription | None) -> bool:
    """Return whether the pending items of a subscription could wait for a year. Another program may have made it."""
    if subscription is None or subscription.invoices_pending:
        return False
    return any(item.get("interval") == "year" for item in subscription.items)


def build_restart(billing: BillingState) -> "SubscriptionUpdateParams":
    """Return the part of the update that begins new periods. Stripe invoices what is pending in a year each month."""
    is_yearly = billing.contract.interval == "year"
    interval: SubscriptionUpdateParams = MONTHLY if is_yearly else {"pending_invoice_item_interval": ""}
    return {"billing_cycle_anchor": {"type": "now"}, **interval}
