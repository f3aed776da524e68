"""Usage billed in arrears, with the next renewal or when the subscription ends."""

import pytest
import stripe

from gateway.sandbox.billing.invoicing import DRAFT_SECONDS
from tests.sandbox.usage_support import billed, subscribe, tiered, upcoming, update
from tests.support.clock import DAY, START, ManualClock
from tests.support.stripe_account import StripeAccount, plain


class TestTheNextRenewal:
    def test_preview_shows_usage_after_the_base_price(
        self, account: StripeAccount, meter: str, customer: str, clock: ManualClock
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

    def test_preview_has_a_line_of_zero_without_usage(self, account: StripeAccount, meter: str, customer: str) -> None:
        subscription = subscribe(account, customer, account.metered(meter))
        assert subscription.latest_invoice is None
        line = ("0 × API calls (at $0.10 / month)", 0, 0)  # noqa: RUF001 - Stripe's own sign
        assert billed(upcoming(account, subscription).lines.data) == [line]

    def test_graduated_usage_has_a_line_for_each_tier(self, account: StripeAccount, meter: str, customer: str) -> None:
        subscription = subscribe(account, customer, tiered(account, meter))
        account.use(customer, 131)
        assert billed(upcoming(account, subscription).lines.data) == [
            ("100 × API calls (Tier 1 at $0.00 / month)", 100, 0),  # noqa: RUF001 - Stripe's own sign
            ("31 × API calls (Tier 2 at $0.036 / month)", 31, 112),  # noqa: RUF001 - Stripe's own sign
            ("API calls (Tier 2 at $5.00 / month)", 0, 500),
        ]

    def test_volume_usage_is_billed_at_the_tier_of_the_total(
        self, account: StripeAccount, meter: str, customer: str
    ) -> None:
        subscription = subscribe(account, customer, tiered(account, meter, "volume"))
        account.use(customer, 131)
        assert billed(upcoming(account, subscription).lines.data) == [
            ("131 × API calls (Tier 2 at $0.036 / month)", 131, 472),  # noqa: RUF001 - Stripe's own sign
            ("API calls (Tier 2 at $5.00 / month)", 0, 500),
        ]

    def test_fractions_are_billed_and_negative_usage_not_credited(
        self, account: StripeAccount, meter: str, customer: str
    ) -> None:
        subscription = subscribe(account, customer, account.metered(meter))
        account.use(customer, "2.45")
        (line,) = upcoming(account, subscription).lines.data
        assert (line.amount, line.quantity, plain(line)["quantity_decimal"]) == (24, 2, "2.45")
        account.use(customer, -10)
        (line,) = upcoming(account, subscription).lines.data
        assert (line.amount, line.quantity) == (0, 0)

    def test_usage_before_the_subscription_is_not_billed(
        self, account: StripeAccount, meter: str, customer: str
    ) -> None:
        price = account.metered(meter)
        first = subscribe(account, customer, account.price(0), price)
        account.use(customer, 5)
        account.v1.subscriptions.cancel(first.id, {"invoice_now": True})
        second = subscribe(account, customer, price)
        account.use(customer, 7)
        assert upcoming(account, second).lines.data[0].amount == 70

    def test_usage_before_the_item_is_not_billed(
        self, account: StripeAccount, meter: str, customer: str, clock: ManualClock
    ) -> None:
        subscription = subscribe(account, customer, account.price(0))
        account.use(customer, 5)
        clock.now += 2 * DAY
        account.use(customer, 50)
        update(account, subscription, {"price": account.metered(meter).id})
        account.use(customer, 7)
        account.use(customer, 500, timestamp=int(clock.now) - 1)
        assert upcoming(account, subscription).total == 70

    def test_usage_is_billed_when_the_subscription_ends_with_its_period(
        self, account: StripeAccount, meter: str, customer: str
    ) -> None:
        subscription = subscribe(account, customer, account.price(25000), account.metered(meter))
        account.use(customer, 8)
        account.v1.subscriptions.update(subscription.id, {"cancel_at_period_end": True})
        assert [line.amount for line in upcoming(account, subscription).lines.data] == [80]


class TestTheEnd:
    @pytest.fixture
    def subscription(
        self, account: StripeAccount, meter: str, customer: str, clock: ManualClock
    ) -> stripe.Subscription:
        subscription = subscribe(account, customer, account.price(25000), account.metered(meter))
        clock.now += DAY
        account.use(customer, 10)
        return subscription

    def test_invoice_now_bills_usage_on_the_final_draft(
        self, account: StripeAccount, subscription: stripe.Subscription
    ) -> None:
        preview = upcoming(account, subscription, cancel_now=True, proration_behavior="none")
        ended = account.v1.subscriptions.cancel(subscription.id, {"invoice_now": True})
        invoice = account.invoice(ended)
        assert (invoice.status, invoice.total, invoice.billing_reason) == ("draft", 100, "subscription_cycle")
        assert billed(invoice.lines.data) == billed(preview.lines.data)

    def test_usage_is_lost_without_invoice_now(self, account: StripeAccount, subscription: stripe.Subscription) -> None:
        ended = account.v1.subscriptions.cancel(subscription.id, {"prorate": True})
        assert ended.latest_invoice == subscription.latest_invoice
        assert all(row.proration for row in account.pending(str(subscription.customer)))

    def test_usage_reported_for_a_waiting_draft_is_billed(
        self, account: StripeAccount, subscription: stripe.Subscription, clock: ManualClock
    ) -> None:
        ended = account.v1.subscriptions.cancel(subscription.id, {"invoice_now": True})
        draft = account.invoice(ended)
        clock.now += 600
        account.use(str(subscription.customer), 7, timestamp=START + DAY - 1)
        account.use(str(subscription.customer), 500)  # after the subscription's end, so not billed
        invoice = account.v1.invoices.finalize_invoice(draft.id)
        assert [(line.id, line.quantity, line.amount) for line in invoice.lines.data] == [
            (draft.lines.data[0].id, 17, 170)
        ]
        assert (invoice.total, invoice.amount_due) == (170, 170)
        assert account.v1.invoices.line_items.list(draft.id).data[0].amount == 170

    def test_usage_reported_for_a_waiting_draft_can_change_its_tier(
        self, account: StripeAccount, meter: str, customer: str, clock: ManualClock
    ) -> None:
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

    def test_lines_keep_their_order_when_usage_grows(
        self, account: StripeAccount, meter: str, customer: str, clock: ManualClock
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


def test_renewal_bills_usage_reported_in_its_draft_hour_once(account: StripeAccount, test_clock: str) -> None:
    customer = account.on_clock(test_clock)
    price = account.metered(account.meter().id)
    subscription = subscribe(account, customer.id, account.price(3000), price)
    end = subscription.items.data[0].current_period_end
    account.use(customer.id, 40)
    account.advance(test_clock, end)
    assert billed(account.invoice(account.again(subscription)).lines.data)[-1][1:] == (40, 400)
    account.use(customer.id, 5, timestamp=end - 60)
    account.use(customer.id, 3)
    account.advance(test_clock, end + 2 * DRAFT_SECONDS)
    first = account.invoice(account.again(subscription))
    assert (first.status, first.total) == ("paid", 3000 + 450)
    account.advance(test_clock, account.again(subscription).items.data[0].current_period_end + 2 * DRAFT_SECONDS)
    assert account.invoice(account.again(subscription)).total == 3000 + 30


class TestTheEndOfATrial:
    @pytest.mark.parametrize("is_scheduled", [True, False])
    def test_bills_no_usage(
        self, account: StripeAccount, meter: str, customer: str, clock: ManualClock, is_scheduled: bool
    ) -> None:
        prices = account.price(25000).id, account.metered(meter).id
        trial = account.v1.subscriptions.create(
            {
                "customer": customer,
                "items": [{"price": prices[0]}, {"price": prices[1]}],
                "trial_end": int(clock.now) + 20 * DAY,
            }
        )
        clock.now += DAY
        account.use(customer, 30)
        clock.now += DAY
        if is_scheduled:
            account.v1.subscriptions.update(trial.id, {"cancel_at_period_end": True})
            clock.now += 19 * DAY
        else:
            account.v1.subscriptions.cancel(trial.id, {"invoice_now": True})
        ended = account.v1.subscriptions.retrieve(trial.id)
        assert (ended.status, ended.latest_invoice) == ("canceled", trial.latest_invoice)
