"""The terms of a subscription: its price, currency, interval and schedule, its end and its next invoice."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Self

from gateway.catalog import Catalog, CatalogPlan, CatalogPrice
from gateway.db.models import Subscription
from gateway.stripe_api.snapshots import TRIALING


@dataclass(frozen=True, kw_only=True)
class PlanPrice:
    """The price of one unit of a plan for one organization."""

    id: str | None
    """Stripe's id. None for a price that Stripe does not have yet."""
    unit_amount: int | None
    """In minor units of ``currency``. None for tiers and for an amount with a fraction of a minor unit."""
    unit_amount_decimal: Decimal | None = None
    """An amount with a fraction of a minor unit."""
    currency: str
    interval: str
    interval_count: int

    @classmethod
    def of_item(cls, subscription: Subscription, item: dict[str, Any]) -> Self:
        """Return the price of a mirrored item. An item that was stored without an interval counts as monthly."""
        exact = item.get("unit_amount_decimal")
        return cls(
            id=item["price_id"],
            unit_amount=item.get("unit_amount"),
            unit_amount_decimal=Decimal(exact) if exact is not None else None,
            currency=subscription.currency,
            interval=item.get("interval", "month"),
            interval_count=item.get("interval_count", 1),
        )

    @classmethod
    def of_catalog(cls, price: CatalogPrice) -> Self:
        """Return the price of the catalogue."""
        return cls(
            id=None,
            unit_amount=price.unit_amount,
            unit_amount_decimal=price.unit_amount_decimal,
            currency=price.currency,
            interval=price.interval,
            interval_count=1,
        )


@dataclass(frozen=True, kw_only=True)
class Contract:
    """What a change of plan must keep."""

    currency: str
    interval: str
    interval_count: int = 1
    scheduled: bool = False
    """Whether a schedule at Stripe controls the subscription. A change would reach only its present phase."""
    classic: bool = False
    """Whether Stripe prorates and bills usage in its classic way, which our quotes do not follow.
    https://docs.stripe.com/billing/subscriptions/billing-mode """
    paused: bool = False
    """Whether Stripe has paused the whole subscription. It begins no periods and makes no invoices until it is resumed.
    https://docs.stripe.com/billing/subscriptions/pause """
    unbegun: bool = False
    """Whether the first invoice is not paid yet. Until then, Stripe changes nothing but metadata and payment method.
    https://docs.stripe.com/api/subscriptions/object#subscription_object-status """

    moves: bool = False
    """Whether the change moves the subscription to this interval from another one."""
    leftover: bool = False
    """Whether the subscription is on the floor plan and still billed at another interval, such as a left plan's."""
    ends_unpaid: bool = False
    """Whether Stripe ends the subscription after its trial unless there is a payment method. It owes nothing so far."""

    @property
    def is_fixed(self) -> bool:
        """Return whether a plan's change must wait for the sales team, or for the first payment."""
        return self.scheduled or self.classic or self.paused or self.unbegun

    @classmethod
    def of(cls, catalog: Catalog, plan: str, subscription: Subscription, item: dict[str, Any]) -> Self:
        """Return the contract of a subscription to ``plan`` and its base item.

        The floor plan costs nothing, so it keeps no interval. A purchase from there starts afresh.
        """
        price = PlanPrice.of_item(subscription, item)
        terms = (price.interval, price.interval_count)
        kept = (choose_interval(catalog, price.currency), 1) if plan == catalog.floor.key else terms
        return cls(
            currency=price.currency,
            interval=kept[0],
            interval_count=kept[1],
            leftover=terms != kept,
            scheduled=subscription.schedule_id is not None,
            classic=subscription.billing_mode == "classic",
            paused=subscription.status == "paused",
            unbegun=subscription.status == "incomplete",
            ends_unpaid=subscription.status == TRIALING and subscription.missing_payment_method == "cancel",
        )

    @classmethod
    def of_enrolment(cls, catalog: Catalog, fixed: str | None, wanted: Iterable[str | None] = ()) -> Self:
        """Return the contract that an organization without a subscription would begin, on the floor plan.

        The customer's currency is ``fixed``. If it has none yet, the first currency of ``wanted`` counts that is sold.
        """
        sold = catalog.floor.currencies
        currency = fixed or next((each for each in wanted if each in sold), None) or sold[0]
        return cls(currency=currency, interval=choose_interval(catalog, currency))

    def with_interval(self, interval: str | None) -> Self:
        """Return the contract after a move to ``interval``. Without another one, nothing moves."""
        if interval is None or not self.is_other_interval(interval):
            return self
        return replace(self, interval=interval, interval_count=1, moves=True)

    def show_price(self, price: PlanPrice) -> PlanPrice:
        """Return ``price`` as people see it. A leftover interval of the floor plan means nothing to them."""
        shown = replace(price, id=None, interval=self.interval, interval_count=self.interval_count)
        return shown if self.leftover else price

    def with_target(self, plan: CatalogPlan) -> Self:
        """Return the contract for a change to ``plan``. A purchase leaves the leftover interval of the floor plan."""
        return replace(self, moves=True) if self.leftover and not plan.is_floor else self

    def is_other_interval(self, interval: str) -> bool:
        """Return whether the subscription is not billed every ``interval``."""
        return (interval, 1) != (self.interval, self.interval_count)

    def find_price(self, plan: CatalogPlan) -> CatalogPrice | None:
        """Return the price of a plan on sale in this currency and interval, or None."""
        if plan.archived or self.interval_count != 1:
            return None
        return plan.find_price(self.currency, self.interval)

    def sells(self, plan: CatalogPlan) -> bool:
        """Return whether the plan is sold on these terms. The floor plan is, because it costs 0 on any terms."""
        return plan.is_floor or self.find_price(plan) is not None

    def __str__(self) -> str:
        """Return the currency and the interval for people, such as ``EUR per 3 months``."""
        count = f"{self.interval_count} {self.interval}s" if self.interval_count > 1 else self.interval
        return f"{self.currency.upper()} per {count}"


def choose_interval(catalog: Catalog, currency: str) -> str:
    """Return the interval of the floor plan in ``currency``, at which organizations start."""
    prices = catalog.floor.prices
    return next((price.interval for price in prices if price.currency == currency), prices[0].interval)


def find_next_invoice_date(items: list[dict[str, Any]]) -> datetime:
    """Return when Stripe makes the next invoice. Of items with several intervals, the earliest period end decides."""
    return min(datetime.fromisoformat(item["current_period_end"]) for item in items)


def find_scheduled_end(subscription: Subscription) -> datetime | None:
    """Return when the subscription is to end, or None.

    https://docs.stripe.com/billing/subscriptions/cancel
    """
    if subscription.cancel_at is None and subscription.cancel_at_period_end:
        return find_next_invoice_date(subscription.items)
    return subscription.cancel_at


def is_collection_paused(subscription: Subscription) -> bool:
    """Return whether Stripe collects nothing: it paused the collection of payments or the whole subscription."""
    return subscription.pause_behavior is not None or subscription.status == "paused"


def find_billing_date(subscription: Subscription, next_invoice: datetime) -> datetime | None:
    """Return ``next_invoice``, or None if the collection of payments is paused on that date."""
    until = subscription.paused_until
    return None if is_collection_paused(subscription) and (until is None or until > next_invoice) else next_invoice
