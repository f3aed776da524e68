"""Usage is billed in arrears, at the price that was in force, once."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
import stripe
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.sandbox import Sandbox
from tests.sandbox.support import MONTH, START, Account, Clock, Json, plain

DAY = 86400
GRADUATED = [{"up_to": 100, "unit_amount": 0}, {"up_to": "inf", "unit_amount_decimal": "3.6", "flat_amount": 500}]


@pytest.fixture
def meter(account: Account) -> str:
    return account.meter().id


@pytest.fixture
def customer(account: Account) -> str:
    return account.customer().id


def subscribe(account: Account, customer: str, *prices: stripe.Price) -> stripe.Subscription:
    items: Any = [{"price": price.id} for price in prices]
    return account.v1.subscriptions.create({"customer": customer, "items": items})


def tiered(account: Account, meter: str, mode: str = "graduated", **more: Any) -> stripe.Price:
    return account.metered(meter, billing_scheme="tiered", tiers_mode=mode, tiers=GRADUATED, **more)


def item_at(subscription: stripe.Subscription, price: stripe.Price) -> str:
    return next(item.id for item in subscription.items.data if item.price.id == price.id)


def upcoming(account: Account, subscription: stripe.Subscription, **details: Any) -> stripe.Invoice:
    params: Any = {"subscription": subscription.id} | ({"subscription_details": details} if details else {})
    return account.v1.invoices.create_preview(params)


def billed(lines: list[Any]) -> list[tuple[str | None, int | None, int]]:
    return [(line.description, line.quantity, line.amount) for line in lines]


def update(account: Account, subscription: stripe.Subscription, items: Json | list[Json], **more: Any) -> Any:
    params: Any = {"items": items if isinstance(items, list) else [items]} | more
    return account.v1.subscriptions.update(subscription.id, params)


class TestTheNextRenewal:
    def test_shows_the_usage_so_far_behind_the_base_price(
        self, account: Account, meter: str, customer: str, clock: Clock
    ) -> None:
        subscription = subscribe(account, customer, account.price(25000), account.metered(meter))
        clock.now += DAY
        account.use(customer, 30)
        account.use(customer, 12)

        preview = upcoming(account, subscription)

        end = subscription.items.data[0].current_period_end
        assert billed(preview.lines.data) == [
            ("1 × Plus (at $250.00 / month)", 1, 25000),  # noqa: RUF001 - Stripe's own sign
            ("42 × API calls (at $0.10 / month)", 42, 420),  # noqa: RUF001 - Stripe's own sign
        ]
        base, usage = preview.lines.data
        assert base.period.start == end
        assert (usage.period.start, usage.period.end) == (START, end)
        assert preview.total == 25420

    def test_has_a_line_of_nothing_when_nothing_was_used(self, account: Account, meter: str, customer: str) -> None:
        subscription = subscribe(account, customer, account.metered(meter))
        assert subscription.latest_invoice is None
        line = ("0 × API calls (at $0.10 / month)", 0, 0)  # noqa: RUF001 - Stripe's own sign
        assert billed(upcoming(account, subscription).lines.data) == [line]

    def test_goes_tier_by_tier(self, account: Account, meter: str, customer: str) -> None:
        subscription = subscribe(account, customer, tiered(account, meter))
        account.use(customer, 131)
        assert billed(upcoming(account, subscription).lines.data) == [
            ("100 × API calls (Tier 1 at $0.00 / month)", 100, 0),  # noqa: RUF001 - Stripe's own sign
            ("31 × API calls (Tier 2 at $0.036 / month)", 31, 112),  # noqa: RUF001 - Stripe's own sign
            ("API calls (Tier 2 at $5.00 / month)", 0, 500),
        ]

    def test_or_at_the_tier_of_the_whole_volume(self, account: Account, meter: str, customer: str) -> None:
        subscription = subscribe(account, customer, tiered(account, meter, "volume"))
        account.use(customer, 131)
        assert billed(upcoming(account, subscription).lines.data) == [
            ("131 × API calls (Tier 2 at $0.036 / month)", 131, 472),  # noqa: RUF001 - Stripe's own sign
            ("API calls (Tier 2 at $5.00 / month)", 0, 500),
        ]

    def test_takes_fractions_and_never_gives_money_for_less_than_nothing(
        self, account: Account, meter: str, customer: str
    ) -> None:
        subscription = subscribe(account, customer, account.metered(meter))
        account.use(customer, "2.45")
        (line,) = upcoming(account, subscription).lines.data
        assert (line.amount, line.quantity, plain(line)["quantity_decimal"]) == (24, 2, "2.45")
        account.use(customer, -10)
        (line,) = upcoming(account, subscription).lines.data
        assert (line.amount, line.quantity) == (0, 0)

    def test_leaves_out_what_was_used_before_the_subscription_came(
        self, account: Account, meter: str, customer: str
    ) -> None:
        price = account.metered(meter)
        first = subscribe(account, customer, account.price(0), price)
        account.use(customer, 5)
        account.v1.subscriptions.cancel(first.id, {"invoice_now": True})
        second = subscribe(account, customer, price)
        account.use(customer, 7)
        assert upcoming(account, second).lines.data[0].amount == 70

    def test_leaves_out_what_was_used_before_the_item_came(
        self, account: Account, meter: str, customer: str, clock: Clock
    ) -> None:
        subscription = subscribe(account, customer, account.price(0))
        account.use(customer, 5)
        clock.now += 2 * DAY
        account.use(customer, 50)
        update(account, subscription, {"price": account.metered(meter).id})
        account.use(customer, 7)
        account.use(customer, 500, timestamp=int(clock.now) - 1)
        assert upcoming(account, subscription).total == 70

    def test_still_bills_usage_when_the_subscription_ends_with_its_period(
        self, account: Account, meter: str, customer: str
    ) -> None:
        subscription = subscribe(account, customer, account.price(25000), account.metered(meter))
        account.use(customer, 8)
        account.v1.subscriptions.update(subscription.id, {"cancel_at_period_end": True})
        assert [line.amount for line in upcoming(account, subscription).lines.data] == [80]


class TestFreeAndPlus:
    """The plans that the gateway sells: a base price is swapped, metered items come and go."""

    @pytest.fixture
    def prices(self, account: Account, meter: str) -> tuple[stripe.Price, stripe.Price, stripe.Price]:
        return account.price(0, "Free"), account.price(25000, "Plus"), account.metered(meter)

    @pytest.fixture
    def free(self, account: Account, customer: str, prices: Any) -> stripe.Subscription:
        return subscribe(account, customer, prices[0])

    def upgrade(self, account: Account, free: stripe.Subscription, prices: Any, **more: Any) -> stripe.Subscription:
        base = {"id": item_at(free, prices[0]), "price": prices[1].id}
        upgraded: stripe.Subscription = update(account, free, [base, {"price": prices[2].id}], **more)
        return upgraded

    def downgrade(self, plus: stripe.Subscription, prices: Any) -> list[Json]:
        base = {"id": item_at(plus, prices[1]), "price": prices[0].id}
        return [base, {"id": item_at(plus, prices[2]), "deleted": True}]

    def test_an_upgrade_charges_nothing_at_once(
        self, account: Account, customer: str, free: stripe.Subscription, prices: Any, clock: Clock
    ) -> None:
        clock.now += MONTH // 2
        plus = self.upgrade(account, free, prices)
        assert plus.latest_invoice == free.latest_invoice
        assert [row.amount for row in account.pending(customer)] == [12500]
        account.use(customer, 9)
        preview = upcoming(account, plus)
        assert [line.amount for line in preview.lines.data] == [12500, 25000, 90]

    def test_a_downgrade_gives_back_the_base_and_bills_the_usage(
        self, account: Account, customer: str, free: stripe.Subscription, prices: Any, clock: Clock
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

    def test_a_downgrade_invoiced_at_once_has_the_usage_on_it(
        self, account: Account, customer: str, free: stripe.Subscription, prices: Any
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

    def test_without_prorations_the_usage_is_not_billed(
        self, account: Account, customer: str, free: stripe.Subscription, prices: Any
    ) -> None:
        plus = self.upgrade(account, free, prices, proration_behavior="none")
        account.use(customer, 1000)
        update(account, plus, self.downgrade(plus, prices), proration_behavior="none")
        assert account.pending(customer) == []

    def test_an_item_that_used_nothing_goes_without_a_line(
        self, account: Account, customer: str, free: stripe.Subscription, prices: Any
    ) -> None:
        plus = self.upgrade(account, free, prices, proration_behavior="none")
        update(account, plus, self.downgrade(plus, prices), proration_behavior="always_invoice")
        assert [row.quantity for row in account.pending(customer) if not row.proration] == []

    def test_usage_is_billed_once_though_the_plan_comes_back_in_the_same_second(
        self, account: Account, customer: str, free: stripe.Subscription, prices: Any
    ) -> None:
        plus = self.upgrade(account, free, prices)
        account.use(customer, 1000)
        down = update(account, plus, self.downgrade(plus, prices))
        again = self.upgrade(account, down, prices)
        account.use(customer, 3)
        usage = [line for line in upcoming(account, again).lines.data if "API calls" in (line.description or "")]
        assert [line.amount for line in usage] == [10000, 30]

    def test_a_parked_downgrade_bills_usage_on_the_invoice_it_waits_for(
        self, account: Account, customer: str, free: stripe.Subscription, prices: Any
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
    def test_each_unit_is_billed_at_the_price_in_force_when_it_was_reported(
        self, account: Account, meter: str, customer: str, clock: Clock
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

    def test_a_licensed_item_that_becomes_metered_counts_from_then(
        self, account: Account, meter: str, customer: str, clock: Clock
    ) -> None:
        flat, metered = account.price(3000), account.metered(meter)
        subscription = subscribe(account, customer, flat)
        account.use(customer, 10)
        clock.now += MONTH // 3
        after = update(account, subscription, {"id": item_at(subscription, flat), "price": metered.id})
        assert "quantity" not in plain(after)["items"]["data"][0]
        account.use(customer, 5)
        assert [line.amount for line in upcoming(account, after).lines.data] == [-2000, 50]

    def test_an_update_of_other_things_leaves_usage_alone(self, account: Account, meter: str, customer: str) -> None:
        subscription = subscribe(account, customer, account.metered(meter))
        account.use(customer, 10)
        account.v1.subscriptions.update(subscription.id, {"metadata": {"a": "b"}})
        assert account.pending(customer) == []
        assert upcoming(account, subscription).total == 100


class TestTheEnd:
    @pytest.fixture
    def subscription(self, account: Account, meter: str, customer: str, clock: Clock) -> stripe.Subscription:
        subscription = subscribe(account, customer, account.price(25000), account.metered(meter))
        clock.now += DAY
        account.use(customer, 10)
        return subscription

    def test_invoice_now_bills_the_usage_on_the_final_draft(
        self, account: Account, subscription: stripe.Subscription
    ) -> None:
        preview = upcoming(account, subscription, cancel_now=True, proration_behavior="none")
        ended = account.v1.subscriptions.cancel(subscription.id, {"invoice_now": True})
        invoice = account.invoice(ended)
        assert (invoice.status, invoice.total, invoice.billing_reason) == ("draft", 100, "subscription_cycle")
        assert billed(invoice.lines.data) == billed(preview.lines.data)

    def test_without_it_the_usage_is_lost(self, account: Account, subscription: stripe.Subscription) -> None:
        ended = account.v1.subscriptions.cancel(subscription.id, {"prorate": True})
        assert ended.latest_invoice == subscription.latest_invoice
        assert all(row.proration for row in account.pending(str(subscription.customer)))

    def test_usage_reported_while_the_draft_waits_is_on_the_invoice(
        self, account: Account, subscription: stripe.Subscription, clock: Clock
    ) -> None:
        ended = account.v1.subscriptions.cancel(subscription.id, {"invoice_now": True})
        draft = account.invoice(ended)
        clock.now += 600
        account.use(str(subscription.customer), 7, timestamp=START + DAY - 1)
        account.use(str(subscription.customer), 500)  # after the end: nobody's
        invoice = account.v1.invoices.finalize_invoice(draft.id)
        assert [(line.id, line.quantity, line.amount) for line in invoice.lines.data] == [
            (draft.lines.data[0].id, 17, 170)
        ]
        assert (invoice.total, invoice.amount_due) == (170, 170)
        assert account.v1.invoices.line_items.list(draft.id).data[0].amount == 170

    def test_and_may_reach_another_tier(self, account: Account, meter: str, customer: str, clock: Clock) -> None:
        seats = account.price(100, "Seats")
        subscription = subscribe(account, customer, seats, tiered(account, meter))
        clock.now += DAY
        account.use(customer, 101)
        ended = account.v1.subscriptions.cancel(subscription.id, {"invoice_now": True, "prorate": True})
        draft = account.invoice(ended)
        assert [line.amount for line in draft.lines.data][1:] == [0, 4, 500]
        account.use(customer, -2, timestamp=START + 1)
        paid = account.v1.invoices.finalize_invoice(draft.id)
        assert [line.quantity for line in paid.lines.data] == [1, 99]

    def test_lines_keep_their_order_when_one_item_gets_more(
        self, account: Account, meter: str, customer: str, clock: Clock
    ) -> None:
        account.meter("tokens")
        tokens = account.v1.billing.meters.list({"limit": 1}).data[0].id
        subscription = subscribe(
            account, customer, tiered(account, meter, name="Calls"), account.metered(tokens, "Tokens")
        )
        clock.now += DAY
        account.use(customer, 101)
        account.use(customer, 5, "tokens")
        draft = account.invoice(account.v1.subscriptions.cancel(subscription.id, {"invoice_now": True}))
        account.use(customer, 10, timestamp=START)
        account.use(customer, 10, "tokens", timestamp=START)
        lines = account.v1.invoices.finalize_invoice(draft.id).lines.data
        assert [line.id for line in lines] == [line.id for line in draft.lines.data]
        assert [line.amount for line in lines] == [0, 40, 500, 150]


AMOUNTS = st.integers(0, 200_000)
USED = st.integers(0, 5_000)


@dataclass(frozen=True)
class Case:
    """A base price swapped, beside a metered item that goes or stays, at some moment of the month."""

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
def test_a_preview_with_usage_is_what_the_update_then_bills(sandbox: Sandbox, clock: Clock, case: Case) -> None:
    account = Account(sandbox)
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

    at_once = after.latest_invoice != subscription.latest_invoice
    found = account.invoice(after) if at_once else upcoming(account, after)
    assert billed(found.lines.data) == billed(preview.lines.data)
    assert (found.total, found.ending_balance) == (preview.total, preview.ending_balance)
    assert found.amount_due == preview.amount_due
    assert found.total == sum(line.amount for line in found.lines.data)
    assert case.currency != "kwd" or all(line.amount % 10 == 0 for line in found.lines.data)
