"""Event types that have no handler on purpose, each with the reason. They change nothing that the mirror keeps.

The gateway stores such an event as ignored if it arrives. There is no need to subscribe to these types.
"""

from collections.abc import Mapping
from types import MappingProxyType

CHARGE = "charges are not kept, and invoice.* reports what they do to an invoice"
REFUND = "charge.refunded reports what was refunded"
PLAN = "Stripe's old name for a price, and price.* reports the same"
TAX = "tax ids and addresses are kept at Stripe"
SOURCE = "cards are payment methods, and payment_method.* reports them"
PAYMENT = "invoice.* and customer.subscription.* report how a payment ends"
SETUP = "no card was added"
METER = "meters are kept at Stripe, and the catalogue declares them"

IGNORED: Mapping[str, str] = MappingProxyType(
    {
        "billing.alert.triggered": "a usage threshold, which changes no plan, invoice or card",
        "billing.credit_balance_transaction.created": "invoice.* reports what a credit takes off",
        "billing.credit_grant.created": "invoice.* reports what a credit takes off",
        "billing.credit_grant.updated": "invoice.* reports what a credit takes off",
        "billing.meter.created": METER,
        "billing.meter.deactivated": METER,
        "billing.meter.reactivated": METER,
        "billing.meter.updated": METER,
        "charge.captured": CHARGE,
        "charge.expired": CHARGE,
        "charge.failed": CHARGE,
        "charge.pending": CHARGE,
        "charge.refund.updated": REFUND,
        "charge.succeeded": CHARGE,
        "charge.updated": CHARGE,
        "checkout.session.expired": "the session created nothing, because a subscription needs payment first",
        "customer.source.created": SOURCE,
        "customer.source.deleted": SOURCE,
        "customer.source.expiring": SOURCE,
        "customer.source.updated": SOURCE,
        "customer.tax_id.created": TAX,
        "customer.tax_id.deleted": TAX,
        "customer.tax_id.updated": TAX,
        "entitlements.active_entitlement_summary.updated": "a plan follows from the price, not from Stripe's features",
        "invoiceitem.created": "pending items are not kept, because a quote asks Stripe for them",
        "invoiceitem.deleted": "pending items are not kept, because a quote asks Stripe for them",
        "payment_intent.amount_capturable_updated": PAYMENT,
        "payment_intent.canceled": PAYMENT,
        "payment_intent.created": PAYMENT,
        "payment_intent.partially_funded": PAYMENT,
        "payment_intent.payment_failed": PAYMENT,
        "payment_intent.requires_action": PAYMENT,
        "payment_intent.succeeded": PAYMENT,
        "plan.created": PLAN,
        "plan.deleted": PLAN,
        "plan.updated": PLAN,
        "refund.created": REFUND,
        "refund.updated": REFUND,
        "setup_intent.canceled": SETUP,
        "setup_intent.created": SETUP,
        "setup_intent.requires_action": SETUP,
        "setup_intent.setup_failed": SETUP,
        "subscription_schedule.expiring": "a week's notice of the end, when nothing has changed yet",
    }
)
