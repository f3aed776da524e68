"""The tables. Constraints enforce the invariants that a race or a mistake could break.

A comment gives the reason of each check and of each unique index.
"""

from gateway.db.models.base import Base, Mirrored
from gateway.db.models.billing import (
    IS_UNPAID,
    NEWEST_FIRST,
    UNPAID,
    Charge,
    Discounts,
    Invoice,
    Subscription,
    UpcomingInvoice,
)
from gateway.db.models.billing_intents import BillingIntent
from gateway.db.models.catalog import Plan, Price
from gateway.db.models.checks import Check
from gateway.db.models.grants import Grant
from gateway.db.models.idempotency import IdempotencyKey
from gateway.db.models.inbox import WebhookEvent
from gateway.db.models.levels import UsageLevel
from gateway.db.models.notifications import Notification, ReceiverState
from gateway.db.models.organizations import Organization, PaymentMethod
from gateway.db.models.plan_table import (
    FINAL_USAGE,
    IS_MISCHARGED,
    IS_OPEN,
    LATEST_INVOICE,
    MADE_FROM,
    OPEN_STATES,
    PENDING_INVOICE,
    UNSETTLED,
    OrganizationPlan,
    PlanChange,
    PlanHistory,
)
from gateway.db.models.rate_limits import RateLimitCount
from gateway.db.models.reconciliation import Adoption, Reconciliation, SeenAtStripe
from gateway.db.models.sales import SalesInquiry
from gateway.db.models.spend import SpendAlerts, SpendCheck, SpendCrossing
from gateway.db.models.stripe_budget import StripeBudget
from gateway.db.models.trials import TRIAL_END, Trial
from gateway.db.models.usage import UNSENT, UsageEstimate, UsageEvent, UsageReport

__all__ = [
    "FINAL_USAGE",
    "IS_MISCHARGED",
    "IS_OPEN",
    "IS_UNPAID",
    "LATEST_INVOICE",
    "MADE_FROM",
    "NEWEST_FIRST",
    "OPEN_STATES",
    "PENDING_INVOICE",
    "TRIAL_END",
    "UNPAID",
    "UNSENT",
    "UNSETTLED",
    "Adoption",
    "Base",
    "BillingIntent",
    "Charge",
    "Check",
    "Discounts",
    "Grant",
    "IdempotencyKey",
    "Invoice",
    "Mirrored",
    "Notification",
    "Organization",
    "OrganizationPlan",
    "PaymentMethod",
    "Plan",
    "PlanChange",
    "PlanHistory",
    "Price",
    "RateLimitCount",
    "ReceiverState",
    "Reconciliation",
    "SalesInquiry",
    "SeenAtStripe",
    "SpendAlerts",
    "SpendCheck",
    "SpendCrossing",
    "StripeBudget",
    "Subscription",
    "Trial",
    "UpcomingInvoice",
    "UsageEstimate",
    "UsageEvent",
    "UsageLevel",
    "UsageReport",
    "WebhookEvent",
]
