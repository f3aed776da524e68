"""Types near to what the mirror keeps that have no handler on purpose, and why: they touch nothing of it.

They are stored as ignored if they come; there is no need to subscribe to them.
"""

from collections.abc import Mapping
from types import MappingProxyType

CHARGE = "charges are not kept; what they do to an invoice is told by invoice.*"
REFUND = "gives money back, and leaves the invoice as it was: paid, with the same amounts (since basil it names none)"
DISPUTE = "the bank's matter: neither subscription nor invoice changes until somebody acts, which has its own events"
PLAN = "Stripe's old name for a price: price.* tells the same"
TAX = "tax ids and addresses are kept at Stripe"
DISCOUNT = "discounts are not kept; what they take off is told by invoice.*"
SOURCE = "cards are payment methods: payment_method.* tells them"
PAYMENT = "payments under way are not kept; their end is told by invoice.* and customer.subscription.*"
SETUP = "no card was taken"
METER = "usage is kept with its own acknowledgements"

IGNORED: Mapping[str, str] = MappingProxyType(
    {
        "billing.alert.triggered": "a threshold of usage: no plan, invoice or card changes with it",
        "billing.credit_balance_transaction.created": "what a credit takes off is told by invoice.*",
        "billing.credit_grant.created": "what a credit takes off is told by invoice.*",
        "billing.credit_grant.updated": "what a credit takes off is told by invoice.*",
        "billing.meter.created": METER,
        "billing.meter.deactivated": METER,
        "billing.meter.reactivated": METER,
        "billing.meter.updated": METER,
        "charge.captured": CHARGE,
        "charge.dispute.closed": DISPUTE,
        "charge.dispute.created": DISPUTE,
        "charge.dispute.funds_reinstated": DISPUTE,
        "charge.dispute.funds_withdrawn": DISPUTE,
        "charge.dispute.updated": DISPUTE,
        "charge.expired": CHARGE,
        "charge.failed": CHARGE,
        "charge.pending": CHARGE,
        "charge.refund.updated": REFUND,
        "charge.refunded": REFUND,
        "charge.succeeded": CHARGE,
        "charge.updated": CHARGE,
        "checkout.session.expired": "nothing came of it: a subscription is only made once it is paid for",
        "customer.discount.created": DISCOUNT,
        "customer.discount.deleted": DISCOUNT,
        "customer.discount.updated": DISCOUNT,
        "customer.source.created": SOURCE,
        "customer.source.deleted": SOURCE,
        "customer.source.expiring": SOURCE,
        "customer.source.updated": SOURCE,
        "customer.tax_id.created": TAX,
        "customer.tax_id.deleted": TAX,
        "customer.tax_id.updated": TAX,
        "entitlements.active_entitlement_summary.updated": "a plan follows from the price, not from Stripe's features",
        "invoiceitem.created": "pending items are not kept: a quote asks Stripe for them",
        "invoiceitem.deleted": "pending items are not kept: a quote asks Stripe for them",
        "payment_intent.amount_capturable_updated": PAYMENT,
        "payment_intent.canceled": PAYMENT,
        "payment_intent.created": PAYMENT,
        "payment_intent.partially_funded": PAYMENT,
        "payment_intent.payment_failed": PAYMENT,
        "payment_intent.processing": PAYMENT,
        "payment_intent.requires_action": PAYMENT,
        "payment_intent.succeeded": PAYMENT,
        "plan.created": PLAN,
        "plan.deleted": PLAN,
        "plan.updated": PLAN,
        "refund.created": REFUND,
        "refund.failed": REFUND,
        "refund.updated": REFUND,
        "setup_intent.canceled": SETUP,
        "setup_intent.created": SETUP,
        "setup_intent.requires_action": SETUP,
        "setup_intent.setup_failed": SETUP,
        "subscription_schedule.expiring": "a week's notice of the end; nothing has changed yet",
    }
)
