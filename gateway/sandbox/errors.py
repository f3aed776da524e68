"""Errors in the shape of Stripe's answers.

StripeError                    any error body, with its HTTP status
  ├─ invalid()                 400 invalid_request_error
  ├─ required()                400 parameter_missing
  ├─ missing()                 404 (400 for an id inside a body) resource_missing
  ├─ card_error()              402 card_error
  ├─ server_error()            500 api_error
  ├─ v2_error()                400 (or another status) with the code of an API of v2
  └─ not_built()               400 sandbox_not_implemented, which Stripe does not have

Texts and statuses are as recorded from Stripe's API, 2026-08-26.dahlia, unless the function says otherwise.
"""

from gateway.sandbox.json_types import Json

_LABELS = {
    "billing.meter": "meter",
    "payment_method": "PaymentMethod",
    "promotion_code": "promotion code",
    "setup_intent": "setupintent",
    "tax_rate": "tax rate",
    "webhook_endpoint": "webhook endpoint",
}


class StripeError(Exception):
    """An error answer.

    ``fields`` become the body's ``error`` object, without those that are None. ``headers`` are added to the answer.
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
    """Return the error for a request that cannot be served."""
    return StripeError(status, "invalid_request_error", message, param=param, code=code)


def required(param: str) -> StripeError:
    """Return the error for a missing parameter."""
    return invalid(f"Missing required param: {param}.", param=param, code="parameter_missing")


def missing(kind: str, object_id: str, *, param: str | None = "id", status: int = 404) -> StripeError:
    """Return ``No such customer: 'cus_x'``. The status is 404 for an id in the path, mostly 400 for one in the body."""
    label = _LABELS.get(kind, kind)
    return invalid(f"No such {label}: '{object_id}'", param=param, code="resource_missing", status=status)


def card_error(code: str, message: str) -> StripeError:
    """Return the error for a payment that the cardholder must approve first.

    ``billing.cards.declined()`` returns the error for a refusal by the bank.
    """
    return StripeError(402, "card_error", message, code=code)


def server_error() -> StripeError:
    """Return the error for a failure on Stripe's side. It does not say whether the work was done."""
    return StripeError(500, "api_error", "An unknown error occurred")


def v2_error(code: str, message: str, status: int = 400) -> StripeError:
    """Return an error of the v2 API, which has a code and a message only (https://docs.stripe.com/error-low-level)."""
    error = StripeError(status, "", message, code=code, request_log_url="")
    error.fields["doc_url"] = ""
    return error


def not_built(what: str, param: str | None = None) -> StripeError:
    """Return the refusal of something that only Stripe implements. Ignoring it silently would mislead the caller."""
    message = f"The local sandbox does not implement {what}. Use a Stripe test-mode account for it."
    return StripeError(400, "invalid_request_error", message, param=param, code="sandbox_not_implemented")
