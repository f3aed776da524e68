"""Every error this gateway raises on purpose, in one tree.

GatewayError                      what a caller is told: status, code, title, detail
├─ WebhookRefused          400    webhook_refused
├─ Unauthorized            401    unauthorized
├─ PaymentMethodRequired   402    payment_method_required
├─ CardDeclined            402    card_declined
├─ UnpaidInvoice           402    unpaid_invoice
├─ CardExpired             402    card_expired
├─ PaymentActionRequired   402    payment_action_required
├─ Forbidden               403    forbidden
├─ NotFound                404    not_found
├─ Conflict                409
│  ├─ ChangeInProgress            change_in_progress
│  ├─ ContactSalesRequired        contact_sales_required
│  ├─ DefaultPaymentMethod        default_payment_method
│  ├─ InvoiceNotOpen              invoice_not_open
│  ├─ NoChange                    no_change
│  ├─ NotEnrolled                 not_enrolled
│  ├─ PaymentAbandoned            payment_abandoned
│  ├─ QuoteExpired                quote_expired
│  ├─ QuoteStale                  quote_stale
│  ├─ ReconciliationInProgress    reconciliation_in_progress
│  └─ RequestInProgress           request_in_progress
├─ PreconditionFailed      412    precondition_failed
├─ BillingDetailsRefused   422    billing_details_refused
├─ InvalidRequest          422    invalid_request
├─ IdempotencyKeyReused    422    idempotency_key_reused
├─ RateLimited             429    rate_limited
├─ StripeRejected          502    stripe_rejected
├─ IdentityUnavailable     503    identity_unavailable
├─ CatalogNotSynced        503    catalog_not_synced
├─ CustomerMissing         503    customer_missing
├─ PeriodOver              503    period_over
├─ StripeUnavailable       503    stripe_unavailable
└─ DatabaseUnavailable     503    database_unavailable

Each is rendered as an RFC 9457 problem by ``gateway.problems``.
"""

from typing import ClassVar


class GatewayError(Exception):
    """A failure the caller is told about. ``code`` is stable; ``detail`` is for people."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    title: ClassVar[str] = "Internal error"

    def __init__(self, detail: str, *, headers: dict[str, str] | None = None, **members: object) -> None:
        super().__init__(detail)
        self.detail = detail
        self.headers = headers or {}
        self.members = members  # further members of the problem object


class Unauthorized(GatewayError):
    """The bearer token is missing, expired or not ours."""

    status, code, title = 401, "unauthorized", "A valid bearer token is required"


class PaymentMethodRequired(GatewayError):
    """The plan needs billing details, and none are on file."""

    status, code, title = 402, "payment_method_required", "A payment method is required"


class CardDeclined(GatewayError):
    """The card's issuer said no."""

    status, code, title = 402, "card_declined", "The card was declined"


class UnpaidInvoice(GatewayError):
    """An invoice is open whose payment failed: more is sold only once it is paid."""

    status, code, title = 402, "unpaid_invoice", "An invoice is unpaid"


class CardExpired(GatewayError):
    """The card's last month is over."""

    status, code, title = 402, "card_expired", "The card has expired"


class PaymentActionRequired(GatewayError):
    """The card's holder must approve the payment first; ``hosted_invoice_url`` is a page for it."""

    status, code, title = 402, "payment_action_required", "The payment must be approved"


class Forbidden(GatewayError):
    """The token lacks the scope."""

    status, code, title = 403, "forbidden", "The token does not allow this"


class NotFound(GatewayError):
    """It does not exist, or belongs to another organization: the two look the same from outside."""

    status, code, title = 404, "not_found", "Not found"


class Conflict(GatewayError):
    """The request is well formed, but not possible in the present state."""

    status, code, title = 409, "conflict", "Not possible now"


class ChangeInProgress(Conflict):
    """Another change of this organization has not ended yet."""

    code, title = "change_in_progress", "Another change is in progress"


class ContactSalesRequired(Conflict):
    """The transition goes through sales."""

    code, title = "contact_sales_required", "Please contact sales"


class DefaultPaymentMethod(Conflict):
    """The card pays for the plan, so it stays until another one does."""

    code, title = "default_payment_method", "The card pays for the plan"


class InvoiceNotOpen(Conflict):
    """It is void or deleted: nothing can be paid on it."""

    code, title = "invoice_not_open", "The invoice is not open"


class NoChange(Conflict):
    """The organization already has exactly this."""

    code, title = "no_change", "Nothing to change"


class NotEnrolled(Conflict):
    """The organization has no subscription yet, so there is nothing to compute from."""

    code, title = "not_enrolled", "The organization is not enrolled"


class PaymentAbandoned(Conflict):
    """The payment that the change waited for was not completed in time, or was called off."""

    code, title = "payment_abandoned", "The payment was not completed"


class QuoteExpired(Conflict):
    """The quote's time is over."""

    code, title = "quote_expired", "The quote has expired"


class QuoteStale(Conflict):
    """What the quote was computed from has changed."""

    code, title = "quote_stale", "The quote no longer holds"


class ReconciliationInProgress(Conflict):
    """Another process walks the same run, and has got further."""

    code, title = "reconciliation_in_progress", "Another reconciliation is running"


class RequestInProgress(Conflict):
    """The first request with this Idempotency-Key has not been answered yet."""

    code, title = "request_in_progress", "The request is being worked on"


class PreconditionFailed(GatewayError):
    """The caller saw another version (If-Match) than the present one."""

    status, code, title = 412, "precondition_failed", "The plan has changed meanwhile"


class BillingDetailsRefused(GatewayError):
    """Stripe does not take what was typed, such as a tax id; ``errors`` and ``stripe_code`` say what and why."""

    status, code, title = 422, "billing_details_refused", "The billing details are not valid"


class InvalidRequest(GatewayError):
    """The body or a parameter is wrong; ``errors`` says where."""

    status, code, title = 422, "invalid_request", "The request is not valid"


class IdempotencyKeyReused(GatewayError):
    """The Idempotency-Key came with another request before."""

    status, code, title = 422, "idempotency_key_reused", "The Idempotency-Key was used for another request"


class RateLimited(GatewayError):
    """Too many of these in a short time; ``Retry-After`` says when to try again."""

    status, code, title = 429, "rate_limited", "Too many requests"


class StripeRejected(GatewayError):
    """Stripe refused a request of ours for a reason the caller cannot mend."""

    status, code, title = 502, "stripe_rejected", "Stripe refused the request"


class IdentityUnavailable(GatewayError):
    """The identity provider's keys cannot be fetched, so no token can be checked."""

    status, code, title = 503, "identity_unavailable", "Tokens cannot be checked now"


class CustomerMissing(GatewayError):
    """The organization has no customer at Stripe that is known here; it takes another try."""

    status, code, title = 503, "customer_missing", "The billing account is not set up yet"


class PeriodOver(GatewayError):
    """The subscription's period ends just now, or has ended: Stripe does not quote in it any more."""

    status, code, title = 503, "period_over", "The billing period ends in this moment"


class CatalogNotSynced(GatewayError):
    """The prices of the catalogue are not at Stripe yet: an operator's job."""

    status, code, title = 503, "catalog_not_synced", "The catalogue is not set up"


class StripeUnavailable(GatewayError):
    """Stripe did not answer, or not in time: whether it did what was asked is unknown."""

    status, code, title = 503, "stripe_unavailable", "Stripe cannot be reached"


class DatabaseUnavailable(GatewayError):
    """The database is away: what was not committed before was not done."""

    status, code, title = 503, "database_unavailable", "The database cannot be reached"


class WebhookRefused(GatewayError):
    """A delivery whose signature or shape does not hold. Nothing of it is stored."""

    status, code, title = 400, "webhook_refused", "The delivery was refused"


def of_code(code: str) -> type[GatewayError]:
    """The error of that code, as it was recorded."""
    classes = [GatewayError]
    for each in classes:
        classes += each.__subclasses__()
    return next(each for each in classes if each.code == code)
