"""Errors in the shape Stripe answers them.

StripeError                    any error body, with its HTTP status
  ├─ invalid()                 400 invalid_request_error
  ├─ required()                400 parameter_missing
  ├─ missing()                 404 (400 for an id inside a body) resource_missing
  ├─ card_error()              402 card_error
  ├─ server_error()            500 api_error
  └─ not_built()               400: Stripe knows this, the sandbox does not

Texts and statuses are as recorded from Stripe's API, 2026-08-26.dahlia, unless the function says otherwise.
"""

from gateway.sandbox.json_types import Json

_LABELS = {
    "billing.meter": "meter",
    "payment_method": "PaymentMethod",
    "setup_intent": "setupintent",
    "webhook_endpoint": "webhook endpoint",
}


class StripeError(Exception):
    """An error answer: ``fields`` become the body's ``error`` object, those that are None left out.

    ``headers`` go with it.
    """

    def __init__(self, status: int, error_type: str, message: str, **fields: object) -> None:
        super().__init__(message)
        self.status = status
        self.fields: Json = {"type": error_type, "message": message}
        self.fields |= {name: value for name, value in fields.items() if value is not None}
        self.headers: dict[str, str] = {}
        code = fields.get("code")
        if code and error_type != "card_error":
            self.fields["doc_url"] = f"https://stripe.com/docs/error-codes/{str(code).replace('_', '-')}"


def invalid(message: str, *, param: str | None = None, code: str | None = None, status: int = 400) -> StripeError:
    """A request that cannot be served as it is."""
    return StripeError(status, "invalid_request_error", message, param=param, code=code)


def required(param: str) -> StripeError:
    """A parameter that must be there."""
    return invalid(f"Missing required param: {param}.", param=param, code="parameter_missing")


def missing(kind: str, object_id: str, *, param: str | None = "id", status: int = 404) -> StripeError:
    """``No such customer: 'cus_x'``. An id in the path is 404; one inside a body mostly 400."""
    label = _LABELS.get(kind, kind)
    return invalid(f"No such {label}: '{object_id}'", param=param, code="resource_missing", status=status)


def card_error(code: str, message: str) -> StripeError:
    """A payment that the card's holder must approve first; ``billing.cards.declined()`` is the bank's refusal."""
    return StripeError(402, "card_error", message, code=code)


def server_error() -> StripeError:
    """Something broke on Stripe's side; whether the work was done, it does not say."""
    return StripeError(500, "api_error", "An unknown error occurred")


def not_built(what: str, param: str | None = None) -> StripeError:
    """Refuses what Stripe would do and the sandbox cannot, rather than to ignore it silently."""
    message = f"The local sandbox does not implement {what}. Use a Stripe test-mode account for it."
    return StripeError(400, "invalid_request_error", message, param=param, code="sandbox_not_implemented")
