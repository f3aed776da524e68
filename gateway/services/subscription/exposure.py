"""Exposure: what an organization may use before it pays.

Stripe charges a change on the billing date, up to a month after the use began. The card may be one that no bank would
ever charge. The catalogue therefore bounds what an organization may owe, and the bound is lower until Stripe has
received money from it. The organization would owe its open invoices and one period of the units that it wants. The
bound is that of a month. A yearly price may cost twelve times as much, because one period of it is twelve months.
"""

from dataclasses import replace

from gateway.catalog import Catalog, CatalogPlan
from gateway.errors import ExposureLimit
from gateway.services.subscription.billing_state import BillingState
from gateway.services.subscription.policy import Need, Transition
from gateway.services.subscription.pricing import find_listed, find_price
from gateway.services.subscription.settlement import choose_charge

MONTHS = {"month": 1, "year": 12}


def find_max_quantity(catalog: Catalog, billing: BillingState, target: CatalogPlan) -> int:
    """Return how many units of ``target`` the organization may have now. Only the local tables are read.

    A change that is charged now takes effect when it is paid, so it adds nothing that the organization owes. The bound
    holds for the catalogue's currency and interval. Sales agreed a price on other terms, or with tiers of its own.
    """
    price, listed = find_price(billing, target), billing.contract.find_price(target)
    charge = choose_charge(catalog, billing, billing.plan_state.requested_plan, target)
    if price is None or listed is None or charge == "now" or price.currency not in target.exposure:
        return target.max_quantity
    if price.unit_amount is not None or price.unit_amount_decimal is not None:
        exact = price.unit_amount_decimal
        listed = replace(listed, unit_amount=price.unit_amount, unit_amount_decimal=exact, tiers=())
    elif (sold := find_listed(billing, listed)) is None or sold["id"] != price.id:
        return target.max_quantity
    exposure = target.exposure[price.currency]
    bound = exposure.after_payment if billing.has_paid else exposure.before_payment
    bound *= MONTHS[listed.interval]
    return listed.find_quantity(max(0, bound - sum(billing.unpaid_invoices.values())), target.max_quantity)


def check_change(
    catalog: Catalog, billing: BillingState, transition: Transition, target: CatalogPlan, quantity: int
) -> None:
    """Raise ExposureLimit, which names the possible quantity, if the change adds more than the organization may owe."""
    if Need.PAID_UP not in transition.needs:
        return
    possible = find_max_quantity(catalog, billing, target)
    if quantity > possible:
        when = "now" if billing.has_paid else "before the first payment"
        raise ExposureLimit(f"At most {possible} units of {target.name} are possible {when}.", max_quantity=possible)
