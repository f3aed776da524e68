"""The resources ``/v1/billing-details`` and ``/v1/payment-methods``."""

from typing import Any

from werkzeug.routing import BaseConverter

from gateway import errors
from gateway.endpoints import examples
from gateway.endpoints.apidoc import FROM_STRIPE, operation, path_id
from gateway.endpoints.blueprint import Blueprint
from gateway.endpoints.limits import limited
from gateway.endpoints.request_context import caller, gateway, requires
from gateway.services.customers import billing_details, default_method, method_removal, payment_methods
from gateway.services.customers.billing_details import BillingDetails
from gateway.services.customers.payment_methods import ListedPaymentMethod, SetupIntent
from gateway.services.rate_limits.table import RouteClass
from schemas.billing_details import (
    BillingDetailsSchema,
    DefaultPaymentMethodSchema,
    ListedPaymentMethodSchema,
    PaymentMethodListSchema,
    SetupIntentSchema,
    ShownBillingDetailsSchema,
)


class PaymentMethodId(BaseConverter):
    """The id of a payment method in a path. ``default`` is none, or its path would seem to allow DELETE."""

    regex = r"(?!default\Z)[^/]+"


METHOD_IN_PATH = path_id("payment_method_id", examples.PAYMENT_METHOD_ID)
blueprint = Blueprint("billing_details", __name__, url_prefix="/v1", description="Billing details and payment methods")


@blueprint.get("/billing-details")
@requires("billing:read")
@operation("getBillingDetails", *FROM_STRIPE)
@limited(RouteClass.STRIPE)
@blueprint.response(200, ShownBillingDetailsSchema)
def show() -> BillingDetails:
    """Return the billing details as Stripe has them."""
    return billing_details.retrieve_billing_details(gateway(), caller())


@blueprint.put("/billing-details")
@requires("billing:write")
@operation("replaceBillingDetails", *FROM_STRIPE, errors.BillingDetailsRefused, errors.CustomerMissing)
@limited(RouteClass.STRIPE)
@blueprint.arguments(BillingDetailsSchema)
@blueprint.response(200, ShownBillingDetailsSchema)
def replace(body: dict[str, Any]) -> BillingDetails:
    """Replace the name, e-mail address, postal address and tax ids."""
    return billing_details.replace_billing_details(gateway(), caller(), body)


@blueprint.post("/billing-details/setup-intent")
@requires("billing:write")
@operation("createSetupIntent", *FROM_STRIPE, errors.CustomerMissing, errors.TooManyPaymentMethods)
@limited(RouteClass.NEW_CARD)
@blueprint.response(201, SetupIntentSchema)
def create_setup_intent() -> SetupIntent:
    """Begin to add a payment method. Stripe.js in the browser needs the secret."""
    return payment_methods.create_setup_intent(gateway(), caller())


@blueprint.get("/payment-methods")
@requires("billing:read")
@operation("listPaymentMethods", *FROM_STRIPE)
@limited(RouteClass.STRIPE)
@blueprint.response(200, PaymentMethodListSchema)
def list_payment_methods() -> dict[str, list[ListedPaymentMethod]]:
    """List the payment methods on file, of every type."""
    return {"data": payment_methods.list_payment_methods(gateway(), caller())}


@blueprint.put("/payment-methods/default")
@requires("billing:write")
@operation(
    "setDefaultPaymentMethod",
    *FROM_STRIPE,
    errors.CardDeclined,
    errors.CardExpired,
    errors.ChangeInProgress,
    errors.TooManyPaymentMethods,
)
@limited(RouteClass.CARD)
@blueprint.arguments(DefaultPaymentMethodSchema)
@blueprint.response(200, ListedPaymentMethodSchema)
def set_default(body: dict[str, str]) -> ListedPaymentMethod:
    """Make a payment method the default one, which Stripe charges."""
    return default_method.set_default(gateway(), caller(), body["payment_method"])


@blueprint.delete("/payment-methods/<payment_method:payment_method_id>", parameters=METHOD_IN_PATH)
@requires("billing:write")
@operation(
    "deletePaymentMethod",
    *FROM_STRIPE,
    errors.ChangeInProgress,
    errors.DefaultPaymentMethod,
    errors.PaymentMethodInUse,
)
@limited(RouteClass.CARD)
@blueprint.response(204)
def delete_payment_method(payment_method_id: str) -> None:
    """Remove a payment method. One that pays for a plan, an unpaid invoice or pending charges stays."""
    method_removal.delete_payment_method(gateway(), caller(), payment_method_id)
