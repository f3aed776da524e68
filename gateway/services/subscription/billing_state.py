"""An organization's billing state. The quote and the change share it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Self

from sqlalchemy.orm import Session

from gateway.catalog import Catalog, CatalogPlan
from gateway.db.models import UNPAID, PaymentMethod, Subscription
from gateway.db.prepared import Row
from gateway.services.plan_table.derive import PlanState, never_enrolled
from gateway.services.plan_table.selection import (
    Plans,
    list_duplicates,
    select_base_item,
    select_current_subscription,
)
from gateway.services.subscription.billing_rows import BILLING_STATE, BillingRow
from gateway.services.subscription.terms import Contract, find_next_invoice_date
from gateway.stripe_api.snapshots import BANK_DEBITS, ENDED

PAID_BY_INVOICE = "The subscription is paid by invoice, and this change must be paid first. Please contact sales."


@dataclass(frozen=True)
class UnsettledInvoice:
    """An invoice that was not paid in full: a draft, one that is owed, or a paid one with a credit note."""

    id: str
    subscription_id: str | None
    status: str
    amount_remaining: int
    is_undue: bool = False
    """Whether nothing is due now: a payment is in progress, a sent invoice is not due yet, or sales forgave it."""
    amount_credited: int = 0
    """What credit notes took off the invoice, or gave back of what was paid."""


@dataclass(frozen=True)
class ReturnedPayment:
    """A paid invoice whose money went back, in part or in full, by a refund or a lost dispute."""

    invoice_id: str
    subscription_id: str | None
    is_lost: bool


@dataclass(frozen=True, kw_only=True)
class BillingState:
    """An organization's plan, its subscription if it has not ended, and what a change depends on."""

    plan_state: PlanState
    plan_version: int
    subscription: Subscription | None
    duplicates: Mapping[str, str]
    """The plans of the running subscriptions beside ``subscription``, by the subscription's id."""
    base_item: dict[str, Any] | None
    """The subscription item that represents the plan."""
    payment_method: PaymentMethod | None
    """What Stripe charges for the subscription."""
    unsettled_invoices: tuple[UnsettledInvoice, ...]
    """The organization's drafts and debts, and the paid invoices of this period that have a credit note."""
    has_paid: bool
    """Whether Stripe has received money from the organization."""
    prices: Mapping[str, dict[str, Any]]
    """Each price that Stripe sells at now, by its lookup key."""
    contract: Contract
    """What a change of plan must keep."""
    metered_items: frozenset[str] = frozenset()
    """The ids of the items that bill the usage of the plan."""
    returned_payments: tuple[ReturnedPayment, ...] = ()
    unseen_invoices: Mapping[str, str] = field(default_factory=dict)
    """The ids of the subscriptions' last invoices that the mirror lacks, by the subscription's id."""
    country: str | None = None
    """The country of the customer's address."""
    had_trial: bool = False
    """Whether the organization has had the one trial that it gets."""
    levels: Mapping[str, int] = field(default_factory=dict)
    """The reported level of each unit that the quantity of a plan may count."""
    customer_id: str | None = None
    """The organization's customer at Stripe."""
    is_deleted: bool = False
    """Whether this customer was deleted at Stripe."""

    @property
    def has_lost_dispute(self) -> bool:
        """Return whether the organization got money back by a dispute that sales has not settled."""
        return any(each.is_lost for each in self.returned_payments)

    @property
    def is_enrolled(self) -> bool:
        """Return whether the organization has, or had, a subscription."""
        return self.plan_state.subscription_id is not None

    @property
    def unpaid_invoices(self) -> dict[str, int]:
        """Return what the organization still owes on each open or written-off invoice, by the invoice's id."""
        return {each.id: each.amount_remaining for each in self.unsettled_invoices if each.status in UNPAID}

    @property
    def due_invoices(self) -> list[UnsettledInvoice]:
        """Return the open or written-off invoices that should have been paid by now."""
        return [each for each in self.unsettled_invoices if each.status in UNPAID and not each.is_undue]

    @property
    def is_paid_up(self) -> bool:
        """Return whether no invoice is due, and no draft keeps the subscription unpaid."""
        return not self.due_invoices and self.plan_state.status != "unpaid"

    @property
    def unsettled_renewals(self) -> list[str]:
        """Return the ids of the subscription's own invoices that are drafts or unpaid, or whose money went back.

        A change makes Stripe credit the unused time on them, although we may never have the money.
        """
        return self.list_unsettled(self.subscription.id) if self.subscription is not None else []

    def list_unsettled(self, subscription_id: str) -> list[str]:
        """Return the ids of a subscription's invoices that are drafts or unpaid, or whose money went back."""
        unsettled = [each.id for each in self.unsettled_invoices if each.subscription_id == subscription_id]
        returned = {each.invoice_id for each in self.returned_payments if each.subscription_id == subscription_id}
        return [*unsettled, *sorted(returned)]

    @property
    def subscription_version(self) -> str | None:
        """Return the version that a quote is bound to. It changes with the mirrored subscription and never recurs.

        The plan's version is part of it. After an upgrade and a downgrade the subscription looks as before, but other
        prorations are waiting for its billing date. The unpaid and credited invoices are part of it, because they
        decide what is credited. The duplicates are part of it, because Cancel plan ends them.
        """
        if self.subscription is None:
            return None
        invoices = [each for each in self.unsettled_invoices if each.status != "draft"]
        owed = "".join(sorted(f"-{each.id}:{each.amount_remaining}:{each.amount_credited}" for each in invoices))
        ended = "".join(f"-{subscription_id}" for subscription_id in sorted(self.duplicates))
        return f"{self.plan_version}-{self.subscription.trail[-1]}{owed}{ended}"

    def lacks_renewal(self, floor: str, now: datetime) -> bool:
        """Return whether the mirror may lack a renewal of a plan that runs. A free period needs no payment.

        In the first period, the last invoice is that of the sign-up or of a change.
        """
        if self.subscription is None or self.plan_state.requested_plan == floor:
            return False
        starts = (datetime.fromisoformat(item["current_period_start"]) for item in self.subscription.items)
        own = max(starts) > self.subscription.created and self.subscription.id in self.unseen_invoices
        others = not self.unseen_invoices.keys().isdisjoint(self.duplicates)
        return own or others or find_next_invoice_date(self.subscription.items) <= now

    def find_immediate_charge_obstacle(self) -> str | None:
        """Return why Stripe cannot charge a change before it takes effect, or None if it can."""
        if self.subscription is None:
            return None
        if self.subscription.collection_method != "charge_automatically":
            return PAID_BY_INVOICE
        if self.payment_method is not None and self.payment_method.type in BANK_DEBITS:
            late = f"{self.payment_method.label} takes days to pay"
            return f"{late}, and this change must be paid first. Please choose another payment method."
        return None

    def with_interval(self, interval: str | None) -> Self:
        """Return the state for a change that moves the subscription to ``interval``, or None for one that does not."""
        return replace(self, contract=self.contract.with_interval(interval))

    def with_target(self, plan: CatalogPlan) -> Self:
        """Return the state for a change to ``plan``, whose contract says whether it moves to another interval."""
        return replace(self, contract=self.contract.with_target(plan))

    def default_quantity(self, plan: str) -> int:
        """Return the quantity of a change that names none: the present one if the plan stays, else 1."""
        return max(self.plan_state.quantity, 1) if plan == self.plan_state.requested_plan else 1

    @property
    def has_metered_usage(self) -> bool:
        """Return whether Stripe counts usage, which it bills when the period or the item ends."""
        return self.subscription is not None and any(item.get("metered") for item in self.subscription.items)


def load_billing_state(
    session: Session, organization_id: str, catalog: Catalog, wanted_currencies: Iterable[str | None] = ()
) -> BillingState:
    """Load the organization's billing state in the session's transaction, as ``build_billing_state`` does."""
    found = BILLING_STATE.read_in(session, {"organization_id": organization_id})
    return build_billing_state(found, catalog, wanted_currencies)


def build_billing_state(
    found_rows: Iterable[Row], catalog: Catalog, wanted_currencies: Iterable[str | None] = ()
) -> BillingState:
    """Build an organization's billing state from the rows that ``BILLING_STATE`` found, or a part of it from ``TERMS``.

    If Stripe has not fixed the customer's currency yet, the first of ``wanted_currencies`` counts that is sold.
    """
    rows = [BillingRow(*each) for each in found_rows]
    plans = Plans(rows[0].plan_of_product or {}, catalog.keys)
    subscriptions = [each.subscription for each in rows if each.subscription is not None]
    subscription = select_current_subscription(subscriptions, plans)
    found = next((each for each in rows if each.subscription is subscription), rows[0])
    if subscription is not None and subscription.status in ENDED:
        subscription = None
    plan, base_item = select_base_item(subscription, plans) if subscription is not None else (None, None)
    items = subscription.items if subscription is not None else []
    return BillingState(
        plan_state=PlanState.of_row(found.plan) if found.plan is not None else never_enrolled(plans.floor),
        plan_version=found.plan.version if found.plan is not None else 0,
        subscription=subscription,
        duplicates={each.id: select_base_item(each, plans)[0] for each in list_duplicates(subscriptions, plans)},
        base_item=base_item,
        payment_method=found.payment_method,
        unsettled_invoices=tuple(UnsettledInvoice(*each) for each in found.unsettled or ()),
        has_paid=found.has_paid,
        prices=found.prices or {},
        contract=Contract.of(catalog, plan, subscription, base_item)
        if plan is not None and subscription is not None and base_item is not None
        else Contract.of_enrolment(catalog, found.currency, wanted_currencies),
        metered_items=frozenset(
            item["id"] for item in items if item.get("metered") and plans.of_product.get(item["product_id"]) == plan
        ),
        returned_payments=tuple(ReturnedPayment(*each) for each in found.returned or ()),
        unseen_invoices={
            each.subscription.id: each.unseen_invoice
            for each in rows
            if each.subscription is not None and each.unseen_invoice is not None
        },
        country=found.country,
        had_trial=found.had_trial,
        levels=found.levels or {},
        customer_id=found.customer_id,
        is_deleted=bool(found.deleted),
    )
