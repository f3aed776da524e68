"""Stripe's own billing portal, which opens for the caller's customer.

https://docs.stripe.com/customer-management
"""

from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

import orjson
from stripe.billing_portal import Configuration

from gateway.services.customers.customer import ensure_customer
from gateway.services.customers.deletion import detect_deletion
from gateway.services.intents.reservation import refuse_sales_plan
from gateway.services.runtime import Caller, Gateway
from gateway.stripe_api.client import stripe_call

if TYPE_CHECKING:
    from stripe.params.billing_portal import ConfigurationCreateParams, SessionCreateParams

OWNER: Final = {"created_by": "konnect_billing"}
"""The metadata by which the gateway finds its configuration among those of the account."""
# A change of the plan must go through the gateway, which quotes it and knows what sales must decide.
# The SDK's types of features differ between creation and update, so this is Any.
FEATURES: Final[Any] = {
    "customer_update": {"enabled": True, "allowed_updates": ["tax_id"]},
    "invoice_history": {"enabled": True},
    "payment_method_update": {"enabled": True},
    "subscription_cancel": {"enabled": False},
    "subscription_pause": {"enabled": False},
    "subscription_update": {"enabled": False},
}
PARAMS: "Final[ConfigurationCreateParams]" = {"features": FEATURES, "metadata": OWNER, "name": "Konnect billing"}


def open_portal(gateway: Gateway, caller: Caller, return_url: str) -> str:
    """Create a session of the portal and return its address, which is valid for a short time and for this customer.

    The portal links back to ``return_url``. Raise ContactSalesRequired if sales manages the plan or the
    customer was deleted. Raise CustomerMissing or StripeUnavailable.
    """
    with gateway.database.reading() as session:
        refuse_sales_plan(session, gateway.catalog, caller.organization_id)
    params: SessionCreateParams = {
        "customer": ensure_customer(gateway, caller),
        "configuration": ensure_configuration(gateway),
        "return_url": return_url,
    }
    with detect_deletion(gateway, caller.organization_id), stripe_call():
        return gateway.stripe.v1.billing_portal.sessions.create(params).url


def ensure_configuration(gateway: Gateway) -> str:
    """Return the id of the gateway's configuration of the portal. Create it, or correct it if somebody changed it.

    An inactive configuration counts too. Stripe repeats its answer to the idempotency key for a day, so a new creation
    would return the inactive one again.
    """
    configurations = gateway.stripe.v1.billing_portal.configurations
    with stripe_call():
        listed = configurations.list({"limit": 100}).auto_paging_iter()
        found = next((each for each in listed if is_own(each)), None)
        if found is None:
            # The key makes concurrent requests create one configuration. Another release may want other features.
            digest = blake2b(orjson.dumps(PARAMS), digest_size=8).hexdigest()
            return configurations.create(PARAMS, {"idempotency_key": f"portal_configuration:{digest}"}).id
        if not is_as_wanted(found):
            configurations.update(found.id, {"active": True, "features": FEATURES})
    return found.id


def is_own(configuration: Configuration) -> bool:
    """Return whether the gateway created this configuration."""
    return configuration.metadata is not None and configuration.metadata.to_dict().items() >= OWNER.items()


def is_as_wanted(configuration: Configuration) -> bool:
    """Return whether the configuration is active and has each of the settings in ``FEATURES``."""
    features = configuration.features.to_dict()
    return configuration.active and all(features[name].items() >= wanted.items() for name, wanted in FEATURES.items())
