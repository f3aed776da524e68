"""Rules for important sequences, which single random steps would rarely form."""

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.stateful.sandbox_money.corrections import Corrections
from tests.stateful.sandbox_money.customers import HOUR, QUANTITIES
from tests.stateful.sandbox_money.subscriptions import PRORATIONS, SUBSCRIPTIONS
from tests.support.clock import DAY

CHARGED = st.sampled_from(["create_prorations", "always_invoice"])
PRICES = st.sampled_from([2000, 1500, 999, 100])
PARTS = st.sampled_from([0.1, 0.4, 0.5, 0.9])
"""Shares of the remaining time of a period."""


class Stories(Corrections):
    """Sequences of several steps. The checks follow the last step."""

    def _advance_into_period(self, subscription: str, part: float) -> None:
        """Advance by ``part`` of the remaining time of the subscription's period."""
        ends = [item["current_period_end"] for item in self.found(subscription)["items"]["data"]]
        left = min(ends) - self.world.now
        if left > 1:
            self.world.advance(max(1, int(left * part)))

    @precondition(lambda self: self.subscriptions)
    @rule(
        subscription=SUBSCRIPTIONS,
        amounts=st.lists(PRICES, min_size=2, max_size=3, unique=True),
        quantity=QUANTITIES,
        proration=CHARGED,
        part=PARTS,
    )
    def swap_again_and_again(
        self, subscription: str, amounts: list[int], quantity: int, proration: str, part: float
    ) -> None:
        """Swap several times in a period. Each swap credits the charge of the one before."""
        for amount in amounts:
            self._advance_into_period(subscription, part)
            self._swap(subscription, amount, quantity, proration)
        self._renew(HOUR + 1)

    @precondition(lambda self: self.subscriptions)
    @rule(subscription=SUBSCRIPTIONS, amount=PRICES, interval=st.sampled_from(["week", "day"]), proration=PRORATIONS)
    def seats_come_and_go(self, subscription: str, amount: int, interval: str, proration: str) -> None:
        """Add seats with their own interval, which renew during the period of the others, and remove them."""
        self._add_or_remove_seats(subscription, amount, interval, proration)
        self._renew(HOUR + 1)
        self._advance_into_period(subscription, 0.5)
        self._add_or_remove_seats(subscription, amount, interval, proration)

    @precondition(lambda self: self.subscriptions)
    @rule(
        subscription=SUBSCRIPTIONS, values=st.tuples(st.integers(1, 90), st.integers(1, 90)), renewals=st.integers(1, 2)
    )
    def use_until_after_the_renewal(self, subscription: str, values: tuple[int, int], renewals: int) -> None:
        """Report usage in the hour of the draft, which still belongs to the previous period."""
        for _ in range(renewals):
            self._advance_into_period(subscription, 0.5)
            self._use(values[0], 0)
            self._renew(HOUR // 2)
            self._use(values[1], HOUR)
            self.world.advance(HOUR)

    @precondition(lambda self: self.subscriptions)
    @rule(subscription=SUBSCRIPTIONS, value=st.integers(1, 90), proration=CHARGED)
    def metered_item_goes_and_comes_back(self, subscription: str, value: int, proration: str) -> None:
        for _ in range(2):
            self._use(value, 0)
            self._advance_into_period(subscription, 0.3)
            self._add_or_remove_metered(subscription, proration, None)
        self._use(value, 0)
        self._renew(HOUR + 1)

    @precondition(lambda self: self.running())
    @rule(days=st.integers(0, 6), pays=st.booleans())
    def declined_until_there_is_another_card(self, days: int, pays: bool) -> None:
        """Let the renewal and its retries fail, until the customer or the next retry pays."""
        self._card("pm_card_chargeCustomerFail")
        self._renew(HOUR + 1)
        self.world.advance(1 + days * DAY)
        self._card("pm_card_visa")
        self.world.listen()
        for invoice in self.in_status("invoice", "open") if pays else []:
            self._settle(invoice, "pay")
        self.world.advance(5 * DAY)

    @precondition(lambda self: self.running())
    @rule(part=st.sampled_from([0.3, 0.9, 1]), days=st.integers(0, 6))
    def declined_and_then_credited(self, part: float, days: int) -> None:
        """Let a renewal fail and be credited, as a whole or in part. The next try takes the rest."""
        self._card("pm_card_chargeCustomerFail")
        self._renew(HOUR + 1)
        self.world.advance(1 + days * DAY)
        self.world.listen()
        for invoice in self.in_status("invoice", "open"):
            found = self.v1.invoices.retrieve(invoice).to_dict(for_json=True)
            self._credit(found, max(1, int(found["amount_remaining"] * part)))
        self._card("pm_card_visa")
        self.world.advance(5 * DAY)

    @precondition(lambda self: self.subscriptions)
    @rule(subscription=SUBSCRIPTIONS, amounts=st.lists(PRICES, min_size=2, max_size=2, unique=True), paid=st.booleans())
    def swap_waits_for_its_payment(self, subscription: str, amounts: list[int], paid: bool) -> None:
        """Swap with a card that fails, so that the swap waits until another card pays, or forever."""
        if not self.has_licensed_item(subscription):
            return
        self._advance_into_period(subscription, 0.2)
        self._card("pm_card_chargeCustomerFail")
        self._swap(subscription, amounts[0], 4, "always_invoice", payment="pending_if_incomplete")
        self._card("pm_card_visa")
        invoice = self.found(subscription)["latest_invoice"]
        if paid:
            self._settle(invoice, "pay")
        else:
            self.world.advance(DAY)
        self._advance_into_period(subscription, 0.5)
        self._swap(subscription, amounts[1], 1, "create_prorations")

    @precondition(lambda self: self.subscriptions)
    @rule(subscription=SUBSCRIPTIONS, amounts=st.lists(PRICES, min_size=2, max_size=2, unique=True), part=PARTS)
    def swap_whose_invoice_becomes_void(self, subscription: str, amounts: list[int], part: float) -> None:
        if not self.has_licensed_item(subscription):
            return
        self._card("pm_card_chargeCustomerFail")
        self._advance_into_period(subscription, part)
        self._swap(subscription, amounts[0], 3, "always_invoice")
        self._settle(self.found(subscription)["latest_invoice"], "void")
        self._card("pm_card_visa")
        self._advance_into_period(subscription, part)
        self._swap(subscription, amounts[1], 2, "always_invoice")

    @precondition(lambda self: self.subscriptions)
    @rule(subscription=SUBSCRIPTIONS, part=PARTS, stays=st.booleans())
    def leave_at_the_end_or_stay(self, subscription: str, part: float, stays: bool) -> None:
        self.update(subscription, cancel_at_period_end=True)
        self._advance_into_period(subscription, part)
        if stays:
            self.update(subscription, cancel_at_period_end=False)
        self._renew(HOUR + 1)
