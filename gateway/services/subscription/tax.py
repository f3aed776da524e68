"""Automatic tax, which Stripe computes from the country of the customer's address.

Stripe refuses to switch it on without one, and to bill it while the subscription has tax rates of its own.
https://docs.stripe.com/tax/subscriptions
"""

from typing import TYPE_CHECKING, TypedDict

from gateway.catalog import Catalog, CatalogPlan
from gateway.services.subscription.billing_state import BillingState

if TYPE_CHECKING:
    from stripe.params import SubscriptionUpdateParamsAutomaticTax


class TaxParams(TypedDict, total=False):
    """The part of a call that switches on automatic tax. Empty if it is on already, or not wanted."""

    automatic_tax: "SubscriptionUpdateParamsAutomaticTax"


def build_tax_params(catalog: Catalog, billing: BillingState, target: CatalogPlan, *, is_free_now: bool) -> TaxParams:
    """Return the parameters for a subscription to ``target``.

    What costs nothing now, such as a trial, needs no address. A purchase does, so Stripe refuses one without it.
    """
    is_on = billing.subscription is not None and billing.subscription.automatic_tax
    if not catalog.automatic_tax or is_on or (billing.country is None and (is_free_now or target.is_floor)):
        return {}
    return {"automatic_tax": {"enabled": True}}
