"""Every error that this gateway raises on purpose.

``GatewayError`` holds a status, code and title for the caller. docs/api.md lists all codes.
``gateway.problems`` renders each of them as an RFC 9457 problem.
"""

from typing import ClassVar


class GatewayError(Exception):
    """A failure that is reported to the caller. ``code`` is stable, and ``detail`` is for people."""

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
    """The plan needs a payment method, and none that Stripe can charge is on file."""

    status, code, title = 402, "payment_method_required", "A payment method is required"


class CardDeclined(GatewayError):
    """The card's issuer or the bank declined the payment."""

    status, code, title = 402, "card_declined", "The card was declined"


class UnpaidInvoice(GatewayError):
    """An invoice is unpaid or written off. The organization must pay it before it can buy more."""

    status, code, title = 402, "unpaid_invoice", "An invoice is unpaid"


class PaymentDisputed(GatewayError):
    """The organization got the money of a payment back by a dispute. Sales must settle it before it can buy more."""

    status, code, title = 402, "payment_disputed", "A payment was disputed"


class CardExpired(GatewayError):
    """The card's expiry month has passed."""

    status, code, title = 402, "card_expired", "The card has expired"


class PaymentActionRequired(GatewayError):
    """The cardholder must approve the payment first, on the page ``hosted_invoice_url``."""

    status, code, title = 402, "payment_action_required", "The payment must be approved"


class Forbidden(GatewayError):
    """The token lacks the scope or names no organization."""

    status, code, title = 403, "forbidden", "The token does not allow this"


class NotFound(GatewayError):
    """The object does not exist or belongs to another organization. The caller cannot tell which."""

    status, code, title = 404, "not_found", "Not found"


class FlagNotFound(NotFound):
    """The catalogue has no feature and no limit of the flag's name. The members are those of OFREP."""

    code, title = "flag_not_found", "There is no such flag"


class EvaluationRefused(GatewayError):
    """The body of a flag evaluation cannot be used. The members are those of OFREP."""

    status, code, title = 400, "evaluation_refused", "The evaluation is not possible"


class Conflict(GatewayError):
    """The request is well formed but not possible in the present state."""

    status, code, title = 409, "conflict", "Not possible now"


class ChangeInProgress(Conflict):
    """Another change of this organization, or another operation on its billing, has not ended yet."""

    code, title = "change_in_progress", "Another change is in progress"


class ClassicBillingMode(Conflict):
    """The subscription is in classic billing mode, in which Stripe prorates in another way than our quotes say."""

    code, title = "classic_billing_mode", "The subscription is in classic billing mode"


class ContactSalesRequired(Conflict):
    """Only sales can make this change."""

    code, title = "contact_sales_required", "Please contact sales"


class DefaultPaymentMethod(Conflict):
    """The payment method pays for the plan, so it cannot be removed before another one does."""

    code, title = "default_payment_method", "The payment method pays for the plan"


class ExposureLimit(Conflict):
    """The organization would owe more than it may now. ``max_quantity`` says how many units it may have."""

    code, title = "exposure_limit", "The organization would owe too much"


class InvoiceNotOpen(Conflict):
    """The invoice is void or deleted, or a payment of it is in progress."""

    code, title = "invoice_not_open", "The invoice is not open"


class NoChange(Conflict):
    """The organization already has exactly this."""

    code, title = "no_change", "Nothing to change"


class NoImmediateCharge(Conflict):
    """Stripe cannot charge the change before it takes effect. ``detail`` names the cause."""

    code, title = "no_immediate_charge", "The change cannot be charged immediately"


class NotEnrolled(Conflict):
    """The organization has no subscription yet, so there is nothing to compute from."""

    code, title = "not_enrolled", "The organization is not enrolled"


class PaymentAbandoned(Conflict):
    """The change waited for a payment that was not completed in time or was cancelled."""

    code, title = "payment_abandoned", "The payment was not completed"


class PaymentMethodInUse(Conflict):
    """The payment method is needed for something that is still to be charged. The members say for what."""

    code, title = "payment_method_in_use", "The payment method is still needed"


class BillingAddressRequired(Conflict):
    """Stripe cannot compute the taxes, because it does not know the country of the customer's address."""

    code, title = "billing_address_required", "A billing address is required"


class PlanUnavailable(Conflict):
    """The plan is not sold in the currency and interval of the organization's subscription."""

    code, title = "plan_unavailable", "The plan is not sold on these terms"


class QuantityFollowsUsage(Conflict):
    """The quantity of this plan follows a level that a service reports, so users cannot choose it."""

    code, title = "quantity_follows_usage", "The quantity follows usage"


class QuoteExpired(Conflict):
    """The quote is too old to be used."""

    code, title = "quote_expired", "The quote has expired"


class QuoteStale(Conflict):
    """The state that the quote was computed from has changed."""

    code, title = "quote_stale", "The quote no longer holds"


class ReconciliationInProgress(Conflict):
    """Another process works on the same run and is further ahead."""

    code, title = "reconciliation_in_progress", "Another reconciliation is running"


class RequestInProgress(Conflict):
    """The first request with this Idempotency-Key is still in flight."""

    code, title = "request_in_progress", "The request is still in flight"


class TooManyPaymentMethods(Conflict):
    """As many payment methods are on file as an organization may have."""

    code, title = "too_many_payment_methods", "Too many payment methods are on file"


class TrialUnavailable(Conflict):
    """The organization cannot start the trial: it has had it, it is on another plan, or it pays by invoice."""

    code, title = "trial_unavailable", "The trial cannot be started"


class PreconditionFailed(GatewayError):
    """The plan's version is not one that the caller named in If-Match."""

    status, code, title = 412, "precondition_failed", "The plan has changed"


class BillingDetailsRefused(GatewayError):
    """Stripe refused what a person typed, such as a tax id. ``errors`` and ``stripe_code`` say which and why."""

    status, code, title = 422, "billing_details_refused", "The billing details are not valid"


class InvalidRequest(GatewayError):
    """The body or a parameter is wrong. ``errors`` says where."""

    status, code, title = 422, "invalid_request", "The request is not valid"


class IdempotencyKeyReused(GatewayError):
    """The caller used the Idempotency-Key for another request before."""

    status, code, title = 422, "idempotency_key_reused", "The Idempotency-Key was used for another request"


class RateLimited(GatewayError):
    """The caller sent too many of these requests. ``Retry-After`` says when to try again."""

    status, code, title = 429, "rate_limited", "Too many requests"


class StripeRejected(GatewayError):
    """Stripe refused our request for a reason that the caller cannot fix."""

    status, code, title = 502, "stripe_rejected", "Stripe refused the request"


class IdentityUnavailable(GatewayError):
    """The identity provider's keys cannot be fetched, so no token can be checked."""

    status, code, title = 503, "identity_unavailable", "Tokens cannot be checked now"


class CustomerMissing(GatewayError):
    """The gateway knows no Stripe customer of the organization yet. The caller should try again."""

    status, code, title = 503, "customer_missing", "The billing account is not set up yet"


class PeriodOver(GatewayError):
    """The subscription's period is ending or has ended, so Stripe no longer quotes within it."""

    status, code, title = 503, "period_over", "The billing period is ending"


class CatalogNotSynced(GatewayError):
    """The catalogue's prices are not at Stripe yet. An operator must run ``gateway catalog sync``."""

    status, code, title = 503, "catalog_not_synced", "The catalogue is not set up"


class StripeUnavailable(GatewayError):
    """Stripe did not answer in time. We do not know whether it did what we asked."""

    status, code, title = 503, "stripe_unavailable", "Stripe cannot be reached"

    def __init__(self, detail: str, *, headers: dict[str, str] | None = None, **members: object) -> None:
        super().__init__(detail, headers={"Retry-After": "5", **(headers or {})}, **members)


class StripeNotCalled(StripeUnavailable):
    """The gateway did not make the call, so Stripe did nothing for it."""


class DatabaseUnavailable(GatewayError):
    """The database is unavailable. Anything that was not committed before was not done."""

    status, code, title = 503, "database_unavailable", "The database cannot be reached"


class WebhookRefused(GatewayError):
    """The delivery's signature or shape is not valid. The gateway stores none of it."""

    status, code, title = 400, "webhook_refused", "The delivery was refused"
