"""The schemas of changes, quotes and Plan Details in answers."""

from marshmallow import fields

from schemas.fields import (
    PLAN_KEY,
    Currency,
    OutputSchema,
    PlanKey,
    one_of,
    utc,
)
from schemas.invoices import InvoiceLineSchema
from schemas.terms import INTERVALS, DiscountSchema, GrantSchema, OverLimitSchema, PriceSchema, ReturnedPaymentSchema

STATUSES = (
    "none",
    "incomplete",
    "incomplete_expired",
    "trialing",
    "active",
    "past_due",
    "canceled",
    "unpaid",
    "paused",
)
STANDINGS = ("good", "grace", "suspended")
ACTIONS = (
    "pay_invoice",
    "start_trial",
    "change_quantity",
    "change_plan",
    "change_interval",
    "cancel_plan",
    "contact_sales",
)
CHANGE_STATES = ("requested", "processing", "requires_action", "applied", "failed", "abandoned")
PAYMENT_PROBLEMS = ("retries_ended", "overdue", "action_required", "payment_method_required", "payment_failed")
CHANGE_ERRORS = (
    "card_declined",
    "billing_address_required",
    "catalog_not_synced",
    "classic_billing_mode",
    "contact_sales_required",
    "invalid_request",
    "no_change",
    "no_immediate_charge",
    "not_found",
    "payment_abandoned",
    "payment_method_required",
    "plan_unavailable",
    "quote_stale",
    "stripe_rejected",
    "stripe_unavailable",
    "unpaid_invoice",
)
"""The codes of the errors with which a change may end."""


class PeriodSchema(OutputSchema):
    """A period. Its end belongs to the next period."""

    start = utc("first moment of the period")
    end = utc("first moment after the period")


class QuoteLineSchema(OutputSchema):
    """A line as the invoice will show it."""

    description = fields.String(allow_none=True)
    amount = fields.Integer(metadata={"description": "minor units, negative for a credit"})
    currency = Currency()
    period = fields.Nested(PeriodSchema)
    proration = fields.Boolean()


class QuoteSchema(OutputSchema):
    """The cost of a change."""

    token = fields.String()
    expires_at = utc("when the token expires")
    proration_date = utc("the second from which Stripe prorates")
    plan = PlanKey()
    quantity = fields.Integer()
    interval = one_of(*INTERVALS, metadata={"description": "of the plan's price after the change"})
    max_quantity = fields.Integer(
        metadata={"description": "units that are possible now, before the organization would owe too much"}
    )
    currency = Currency()
    lines = fields.List(fields.Nested(QuoteLineSchema))
    subtotal = fields.Integer(attribute="sums.subtotal", metadata={"description": "the sum of the lines"})
    discounts = fields.Integer(
        attribute="sums.discounts",
        metadata={"description": "minor units that discounts take off, as a negative amount"},
    )
    taxes = fields.Integer(
        attribute="sums.taxes", metadata={"description": "minor units of taxes on top, without those in the lines"}
    )
    taxes_included = fields.Integer(
        attribute="sums.taxes_included", metadata={"description": "minor units of taxes that the lines include"}
    )
    balance = fields.Integer(
        attribute="sums.balance",
        metadata={
            "description": "minor units that the customer's balance takes off (negative), or adds or carries over "
            "(positive). `subtotal`, `discounts`, `taxes` and `balance` add up to the two amounts due."
        },
    )
    amount_due_now = fields.Integer(metadata={"description": "minor units"})
    amount_due_on_billing_date = fields.Integer(metadata={"description": "minor units"})
    credit = fields.Integer(metadata={"description": "minor units credited for paid time that was not used"})
    amount_unpaid = fields.Integer(metadata={"description": "minor units still owed on unpaid invoices afterwards"})
    billing_date = utc("when Stripe charges it, or null while collection is paused", allow_none=True)
    ends_at = utc("when the subscription ends after the change, or null", allow_none=True)
    ends_at_cleared = utc("the scheduled end that the change clears, or null", allow_none=True)
    estimate = fields.Boolean(
        metadata={"description": "whether the amounts may still change, by usage or with each second"}
    )
    over_limits = fields.List(
        fields.Nested(OverLimitSchema), metadata={"description": "the new plan's limits that the organization exceeds"}
    )


class PaymentMethodSchema(OutputSchema):
    """A payment method on file, of any type. Only cards have a brand and an expiry."""

    id = fields.String()
    type = fields.String(metadata={"description": "Stripe's word, such as card, link, sepa_debit or us_bank_account"})
    label = fields.String(metadata={"description": "what a person recognizes it by"})
    brand = fields.String(allow_none=True)
    last4 = fields.String(allow_none=True)
    exp_month = fields.Integer(allow_none=True)
    exp_year = fields.Integer(allow_none=True)


class InvoiceSummarySchema(OutputSchema):
    """The summary of an invoice."""

    id = fields.String()
    status = one_of("draft", "open", "paid", "uncollectible", "void")
    total = fields.Integer(metadata={"description": "minor units"})
    currency = Currency()


class UpcomingChargesSchema(OutputSchema):
    """The charges that Stripe calculated ahead of the billing date."""

    amount_due = fields.Integer(metadata={"description": "minor units"})
    currency = Currency()
    lines = fields.List(
        fields.Nested(InvoiceLineSchema), allow_none=True, metadata={"description": "null until all lines are known"}
    )
    calculated_at = utc("when Stripe calculated it, or null if unknown", allow_none=True)
    billing_date = utc("when Stripe charges it")


class PaymentProblemSchema(OutputSchema):
    """An unpaid invoice that the organization should take care of."""

    reason = one_of(*PAYMENT_PROBLEMS)
    invoice = fields.String(metadata={"description": "the id of the invoice"})
    pay_url = fields.String(allow_none=True, metadata={"description": "a page at Stripe where the invoice can be paid"})
    next_attempt_at = utc("when Stripe tries again, or null if it will not", allow_none=True)


class PendingChangeSchema(OutputSchema):
    """The change in progress."""

    id = fields.String()
    state = one_of("requested", "processing", "requires_action")
    to_plan = fields.String(validate=PLAN_KEY)
    quantity = fields.Integer()


class TrialStateSchema(OutputSchema):
    """A trial that has not ended."""

    ends_at = utc("when Stripe ends it. Only then does the plan cost anything")
    days_left = fields.Integer(metadata={"description": "days that have begun or are still to begin"})
    converts = fields.Boolean(
        metadata={"description": "whether Stripe then bills the plan, and the organization keeps it"}
    )


class PlanDetailsSchema(OutputSchema):
    """The Plan Details of an organization."""

    organization_id = fields.String()
    plan = PlanKey(unmapped=True, metadata={"description": "the plan that the organization may use"})
    plan_name = fields.String()
    requested_plan = PlanKey(unmapped=True, metadata={"description": "the plan that it is subscribed to, paid or not"})
    status = one_of(*STATUSES, metadata={"description": "Stripe's status, or none"})
    standing = one_of(*STANDINGS)
    quantity = fields.Integer()
    currency = Currency(allow_none=True)
    price = fields.Nested(PriceSchema, allow_none=True, metadata={"description": "paid now, or null without a plan"})
    discounts = fields.List(fields.Nested(DiscountSchema))
    returned_payments = fields.List(fields.Nested(ReturnedPaymentSchema))
    grant = fields.Nested(GrantSchema, allow_none=True, metadata={"description": "a complimentary plan, or null"})
    current_period = fields.Nested(PeriodSchema, allow_none=True)
    ends_at = utc("when the subscription is scheduled to end, or null", allow_none=True)
    paused = fields.Boolean(metadata={"description": "whether Stripe collects no payments for now"})
    paused_until = utc("when Stripe collects payments again, or null if that is not set", allow_none=True)
    scheduled = fields.Boolean(metadata={"description": "whether sales planned the subscription, and must change it"})
    managed_by_sales = fields.Boolean(
        metadata={"description": "whether only sales may change payment methods and pay invoices"}
    )
    billing_date = utc(
        "when the next charge is due, or null on a free plan, while paused, and in a trial that will not convert",
        allow_none=True,
    )
    upcoming_charges = fields.Nested(UpcomingChargesSchema, allow_none=True)
    trial = fields.Nested(TrialStateSchema, allow_none=True, metadata={"description": "null outside of a trial"})
    payment_method = fields.Nested(PaymentMethodSchema, allow_none=True)
    latest_invoice = fields.Nested(InvoiceSummarySchema, allow_none=True)
    payment_problem = fields.Nested(
        PaymentProblemSchema, allow_none=True, metadata={"description": "null while no payment has failed"}
    )
    credit_balance = fields.Integer(metadata={"description": "minor units that Stripe takes off the next invoices"})
    pending_change = fields.Nested(PendingChangeSchema, allow_none=True)
    actions = fields.List(one_of(*ACTIONS))
    as_of = utc("when the plan last changed here, or null before the first time", allow_none=True)
    version = fields.Integer()


class ChangeErrorSchema(OutputSchema):
    """The reason why a change failed."""

    code = one_of(*CHANGE_ERRORS)
    detail = fields.String()


class ChangeSchema(OutputSchema):
    """A change and its state."""

    id = fields.String()
    state = one_of(*CHANGE_STATES)
    from_plan = fields.String(validate=PLAN_KEY, metadata={"description": "of the catalogue of that time"})
    to_plan = fields.String(validate=PLAN_KEY, metadata={"description": "of the catalogue of that time"})
    quantity = fields.Integer()
    interval = one_of(
        "month", "year", allow_none=True, metadata={"description": "the interval that it moves to, or null"}
    )
    error = fields.Nested(ChangeErrorSchema, allow_none=True)
    created_at = utc("when it was requested")


class ChangeResultSchema(ChangeSchema):
    """A change with the plan as it stands now."""

    client_secret = fields.String(
        allow_none=True, metadata={"description": "completes the payment in the browser in the state requires_action"}
    )
    subscription = fields.Nested(PlanDetailsSchema)


class ChangeListSchema(OutputSchema):
    """The latest changes, newest first."""

    data = fields.List(fields.Nested(ChangeSchema))
