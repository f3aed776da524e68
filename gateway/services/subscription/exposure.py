"""Exposure: what an organization may use before it pays.

Stripe charges a change on the billing date, up to a month after the use began. The card may be one that no bank would
ever charge. The catalogue therefore bounds what an organization may owe, and the bound is lower until Stripe has
received money from it. The organization would owe its open invoices and one period of the units that it wants.
"""

from gateway.catalog import Catalog, CatalogPlan
from gateway.errors import ExposureLimit
from gateway.services.subscription.billing_state import BillingState, choose_charge
from gateway.services.subscription.policy import Need, Transition
from gateway.services.subscription.pricing import find_price


def find_max_quantity(catalog: Catalog, billing: BillingState, target: CatalogPlan) -> int:
    """Return how many units of ``target`` the organization may have now. Only the local tables are read.

    A change that is charged now takes effect when it is paid, so it adds nothing that the organization owes. The bound
    holds for the catalogue's currency and interval. Sales agreed a price on other terms, or without an amount per unit.
    """
    price = find_price(billing, target)
    exposure = target.exposure.get(price.currency) if price is not None else None
    charge = choose_charge(catalog, billing.plan_state.requested_plan, target)
    if price is None or exposure is None or charge == "now":
        return target.max_quantity
    if not price.unit_amount or not billing.contract.sells(target):
        return target.max_quantity
    bound = exposure.after_payment if billing.has_paid else exposure.before_payment
    return max(0, min(target.max_quantity, (bound - sum(billing.unpaid_invoices.values())) // price.unit_amount))


def check_change(
    catalog: Catalog, billing: BillingState, transition: Transition, target: CatalogPlan, quantity: int
) -> None:
    """Raise ExposureLimit, which names the possible quantity, if the change adds more than the organization may owe."""
    if Need.CARD not in transition.needs:
        return
    possible = find_max_quantity(catalog, billing, target)
    if quantity > possible:
        when = "now" if billing.has_paid else "before the first payment"
        raise ExposureLimit(f"At most {possible} units of {target.name} are possible {when}.", max_quantity=possible)
