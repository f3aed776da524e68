"""State about a view what the OpenAPI document needs to know. ``document`` writes it down."""

from collections.abc import Callable
from typing import Any, TypeVar

from gateway import errors
from gateway.errors import GatewayError

View = TypeVar("View", bound=Callable[..., Any])

FROM_STRIPE = (errors.ContactSalesRequired, errors.NotFound, errors.StripeRejected, errors.StripeUnavailable)
"""The errors of every view that calls Stripe. The first one says that the customer was deleted there."""
FROM_CHANGE = (
    *FROM_STRIPE,
    errors.BillingAddressRequired,
    errors.CardDeclined,
    errors.CatalogNotSynced,
    errors.ChangeInProgress,
    errors.ClassicBillingMode,
    errors.CustomerMissing,
    errors.ExposureLimit,
    errors.NoChange,
    errors.NoImmediateCharge,
    errors.NotEnrolled,
    errors.PaymentMethodRequired,
    errors.PlanUnavailable,
    errors.PreconditionFailed,
    errors.QuantityFollowsUsage,
    errors.QuoteExpired,
    errors.QuoteStale,
    errors.PaymentDisputed,
    errors.UnpaidInvoice,
)
"""The errors of the views that change the plan."""


def describe(view: Callable[..., Any], **facts: Any) -> None:
    """Store ``facts`` on ``view`` in the place where flask-smorest's own decorators store theirs."""
    view.__dict__["_apidoc"] = view.__dict__.get("_apidoc", {}) | facts


def operation(operation_id: str, *raised: type[GatewayError]) -> Callable[[View], View]:
    """Name the operation for generated clients, and list the errors that only some operations raise."""

    def decorate(view: View) -> View:
        describe(view, manual_doc={"operationId": operation_id}, errors=raised)
        return view

    return decorate


def path_id(name: str, example: str) -> list[dict[str, Any]]:
    """Return the description of the id in a path."""
    return [{"in": "path", "name": name, "example": example}]
