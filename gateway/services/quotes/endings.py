"""Preview what Cancel plan bills for the subscriptions that it ends beside the current one."""

from collections.abc import Iterable

from stripe import Invoice

from gateway.errors import StripeRejected
from gateway.services.runtime import Gateway
from gateway.stripe_api.client import is_nothing_upcoming, stripe_call


def preview_endings(gateway: Gateway, subscriptions: Iterable[str]) -> list[Invoice]:
    """Return the final invoice of each subscription that has one, as if it were canceled now.

    https://docs.stripe.com/api/invoices/create_preview#create_create_preview-subscription_details-cancel_now
    """
    found = []
    for each in sorted(subscriptions):
        try:
            with stripe_call():
                found.append(
                    gateway.stripe.v1.invoices.create_preview(
                        {
                            "subscription": each,
                            "subscription_details": {"cancel_now": True, "proration_behavior": "create_prorations"},
                        }
                    )
                )
        except StripeRejected as error:
            if not is_nothing_upcoming(error):
                raise
    return found
