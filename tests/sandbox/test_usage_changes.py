"""Usage is billed once, at the price in force, when metered items are added, removed or repriced."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
import requests
import stripe
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.sandbox import Sandbox
from tests.sandbox.usage_support import billed, item_at, subscribe, upcoming, update
from tests.support.clock import DAY, MONTH, START, ManualClock
from tests.support.json_types import Json
from tests.support.stripe_account import StripeAccount, plain


class TestFreeAndPlus:
    """Changes between the gateway's plans, which swap a base price and add or remove metered items."""

    @pytest.fixture
    def prices(self, account: StripeAccount, meter: str) -> tuple[stripe.Price, stripe.Price, stripe.Price]:
        return account.price(0, "Free"), account.price(25000, "Plus"), account.metered(meter)

    @pytest.fixture
    def free(self, account: StripeAccount, customer: str, prices: Any) -> stripe.Subscription:
        return subscribe(account, customer, prices[0])

    def upgrade(
        self, account: StripeAccount, free: stripe.Subscription, prices: Any, **more: Any
    ) -> stripe.Subscription:
        base = {"id": item_at(free, prices[0]), "price": prices[1].id}
        upgraded: stripe.Subscription = update(account, free, [base, {"price": prices[2].id}], **more)
        return upgraded

    def downgrade(self, plus: stripe.Subscription, prices: Any) -> list[Json]:
        base = {"id": item_at(plus, prices[1]), "price": prices[0].id}
        return [base, {"id": item_at(plus, prices[2]), "deleted": True}]

    def test_upgrade_charges_nothing_immediately(
        self, account: StripeAccount, customer: str, free: stripe.Subscription, prices: Any, clock: ManualClock
    ) -> None:
        clock.now += MONTH // 2
        plus = self.upgrade(account, free, prices)
        assert plus.latest_invoice == free.latest_invoice
        assert [row.amount for row in account.pending(customer)] == [12500]
        account.use(customer, 9)
        preview = upcoming(account, plus)
        assert [line.amount for line in preview.lines.data] == [12500, 25000, 90]

    def test_downgrade_credits_the_base_and_bills_the_usage(
        self, account: StripeAccount, customer: str, free: stripe.Subscription, prices: Any, clock: ManualClock
    ) -> None:
        plus = self.upgrade(account, free, prices)
        clock.now += MONTH // 2
        account.use(customer, 1000)

        down = update(account, plus, self.downgrade(plus, prices))

        assert [item.price.id for item in down.items.data] == [prices[0].id]
        usage = next(row for row in account.pending(customer) if not row.proration)
        assert sorted(row.amount for row in account.pending(customer)) == [-12500, 10000, 25000]
        assert (usage.description, usage.quantity) == ("1000 × API calls (at $0.10 / month)", 1000)  # noqa: RUF001 - Stripe's own sign
        assert (usage.period.start, usage.period.end) == (START, clock.now)
        details = plain(usage)["parent"]["subscription_details"]
        assert details == {"subscription": plus.id, "subscription_item": item_at(plus, prices[2])}
        (price,) = {plain(row)["pricing"]["price_details"]["price"] for row in [usage]}
        assert price == prices[2].id

    def test_downgrade_invoiced_immediately_includes_the_usage(
        self, account: StripeAccount, customer: str, free: stripe.Subscription, prices: Any
    ) -> None:
        plus = self.upgrade(account, free, prices, proration_behavior="none")
        account.use(customer, 1000)
        items = self.downgrade(plus, prices)
        shown = upcoming(account, plus, items=items, proration_behavior="always_invoice")
        down = update(account, plus, items, proration_behavior="always_invoice")
        invoice = account.invoice(down)
        assert (invoice.status, invoice.total, invoice.billing_reason) == ("paid", 10000, "subscription_update")
        assert billed(invoice.lines.data) == billed(shown.lines.data)
        assert account.pending(customer) == []

    def test_usage_that_is_not_counted_yet_is_never_billed(
        self, account: StripeAccount, sandbox: Sandbox, customer: str, free: stripe.Subscription, prices: Any
    ) -> None:
        plus = self.upgrade(account, free, prices, proration_behavior="none")
        account.use(customer, 1000)
        for lag in (60, 0):
            requests.post(f"{sandbox.url}/_sandbox/settings", json={"usage_lag": lag}, timeout=5).raise_for_status()
            if lag:
                update(account, plus, self.downgrade(plus, prices))
        assert account.pending(customer) == []

    def test_downgrade_without_prorations_does_not_bill_usage(
        self, account: StripeAccount, customer: str, free: stripe.Subscription, prices: Any
    ) -> None:
        plus = self.upgrade(account, free, prices, proration_behavior="none")
        account.use(customer, 1000)
        update(account, plus, self.downgrade(plus, prices), proration_behavior="none")
        assert account.pending(customer) == []

    def test_removed_item_without_usage_has_no_line(
        self, account: StripeAccount, customer: str, free: stripe.Subscription, prices: Any
    ) -> None:
        plus = self.upgrade(account, free, prices, proration_behavior="none")
        update(account, plus, self.downgrade(plus, prices), proration_behavior="always_invoice")
        assert [row.quantity for row in account.pending(customer) if not row.proration] == []

    def test_usage_is_billed_once_when_the_plan_returns_at_once(
        self, account: StripeAccount, customer: str, free: stripe.Subscription, prices: Any
    ) -> None:
        plus = self.upgrade(account, free, prices)
        account.use(customer, 1000)
        down = update(account, plus, self.downgrade(plus, prices))
        again = self.upgrade(account, down, prices)
        account.use(customer, 3)
        usage = [line for line in upcoming(account, again).lines.data if "API calls" in (line.description or "")]
        assert [line.amount for line in usage] == [10000, 30]

    def test_pending_downgrade_bills_usage_on_the_invoice_it_waits_for(
        self, account: StripeAccount, customer: str, free: stripe.Subscription, prices: Any
    ) -> None:
        plus = self.upgrade(account, free, prices, proration_behavior="none")
        account.use(customer, 1000)
        account.give_card(customer, "pm_card_chargeCustomerFail")
        parked: Json = {"proration_behavior": "always_invoice", "payment_behavior": "pending_if_incomplete"}
        waiting = update(account, plus, self.downgrade(plus, prices), **parked)
        invoice = account.invoice(waiting)
        assert waiting.pending_update
        assert (invoice.status, [line.amount for line in invoice.lines.data]) == ("open", [10000])
        account.use(customer, 1)
        assert upcoming(account, waiting).lines.data[-1].amount == 10


class TestAnotherPrice:
    def test_unit_is_billed_at_the_price_in_force_when_reported(
        self, account: StripeAccount, meter: str, customer: str, clock: ManualClock
    ) -> None:
        old, new = account.metered(meter), account.metered(meter, unit_amount=20)
        subscription = subscribe(account, customer, old)
        account.use(customer, 10)
        clock.now += DAY
        after = update(account, subscription, {"id": item_at(subscription, old), "price": new.id})
        account.use(customer, 3)
        account.use(customer, 4, timestamp=START + 5)
        assert [row.amount for row in account.pending(customer)] == [100]
        assert [line.amount for line in upcoming(account, after).lines.data] == [100, 140]

    def test_item_that_becomes_metered_counts_usage_from_then_on(
        self, account: StripeAccount, meter: str, customer: str, clock: ManualClock
    ) -> None:
        flat, metered = account.price(3000), account.metered(meter)
        subscription = subscribe(account, customer, flat)
        account.use(customer, 10)
        clock.now += MONTH // 3
        after = update(account, subscription, {"id": item_at(subscription, flat), "price": metered.id})
        assert "quantity" not in plain(after)["items"]["data"][0]
        account.use(customer, 5)
        assert [line.amount for line in upcoming(account, after).lines.data] == [-2000, 50]

    def test_unrelated_update_does_not_bill_usage(self, account: StripeAccount, meter: str, customer: str) -> None:
        subscription = subscribe(account, customer, account.metered(meter))
        account.use(customer, 10)
        account.v1.subscriptions.update(subscription.id, {"metadata": {"a": "b"}})
        assert account.pending(customer) == []
        assert upcoming(account, subscription).total == 100


AMOUNTS = st.integers(0, 200_000)
USED = st.integers(0, 5_000)


@dataclass(frozen=True)
class Case:
    """A change of the base price at some time of the month, while the metered item stays or is removed."""

    currency: str
    base: tuple[int, int]
    unit: Decimal
    used: tuple[int, int]
    mode: str
    removed: bool
    behavior: str
    elapsed: int

    def shape(self) -> Json:
        if self.mode == "per_unit":
            return {"unit_amount": None, "unit_amount_decimal": str(self.unit)}
        tiers = [{"up_to": 1000, "unit_amount_decimal": str(self.unit)}, {"up_to": "inf", "flat_amount": 700}]
        return {"billing_scheme": "tiered", "tiers_mode": self.mode, "tiers": tiers}


CASES = st.builds(
    Case,
    currency=st.sampled_from(["usd", "jpy", "kwd"]),
    base=st.tuples(AMOUNTS, AMOUNTS),
    unit=st.decimals("0.001", 50, places=3),
    used=st.tuples(USED, USED),
    mode=st.sampled_from(["per_unit", "graduated", "volume"]),
    removed=st.booleans(),
    behavior=st.sampled_from(["always_invoice", "create_prorations", "none"]),
    elapsed=st.integers(1, MONTH - 1),
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=CASES)
def test_update_with_usage_bills_what_its_preview_shows(sandbox: Sandbox, clock: ManualClock, case: Case) -> None:
    account = StripeAccount(sandbox)
    clock.now = START
    for known in account.v1.billing.meters.list({"status": "active"}).data:
        account.v1.billing.meters.deactivate(known.id)
    metered = account.metered(account.meter().id, currency=case.currency, **case.shape())
    old, new = (account.price(amount, currency=case.currency) for amount in case.base)
    customer = account.customer().id
    subscription = subscribe(account, customer, old, metered)
    account.use(customer, case.used[0])
    clock.now = START + case.elapsed
    account.use(customer, case.used[1])
    kept = {"id": item_at(subscription, metered)} | ({"deleted": True} if case.removed else {})
    items: list[Json] = [{"id": item_at(subscription, old), "price": new.id}, kept]

    preview = upcoming(account, subscription, items=items, proration_behavior=case.behavior)
    after = update(account, subscription, items, proration_behavior=case.behavior)

    immediately = after.latest_invoice != subscription.latest_invoice
    found = account.invoice(after) if immediately else upcoming(account, after)
    assert billed(found.lines.data) == billed(preview.lines.data)
    assert (found.total, found.ending_balance) == (preview.total, preview.ending_balance)
    assert found.amount_due == preview.amount_due
    assert found.total == sum(line.amount for line in found.lines.data)
    assert case.currency != "kwd" or all(line.amount % 10 == 0 for line in found.lines.data)
