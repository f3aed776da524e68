"""Sequences that matter, and that single random operations would seldom make up."""

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.sandbox.support import DAY
from tests.stateful.corrections import Corrections
from tests.stateful.customers import HOUR, QUANTITIES
from tests.stateful.subscriptions import PRORATIONS, SUBSCRIPTIONS

CHARGED = st.sampled_from(["create_prorations", "always_invoice"])
PRICES = st.sampled_from([2000, 1500, 999, 100])
PARTS = st.sampled_from([0.1, 0.4, 0.5, 0.9])
"""Of the time that is left of a period."""


class Stories(Corrections):
    """Several steps each; the checks come after the last."""

    def _go_on(self, subscription: str, part: float) -> None:
        """Some way into what is left of the subscription's period."""
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
        """Each swap in a period gives back what the one before it charged."""
        for amount in amounts:
            self._go_on(subscription, part)
            self._swap(subscription, amount, quantity, proration)
        self._renew(HOUR + 1)

    @precondition(lambda self: self.subscriptions)
    @rule(subscription=SUBSCRIPTIONS, amount=PRICES, interval=st.sampled_from(["week", "day"]), proration=PRORATIONS)
    def seats_come_and_go(self, subscription: str, amount: int, interval: str, proration: str) -> None:
        """Of an interval of their own: they renew while the others' period goes on."""
        self._add_or_remove_seats(subscription, amount, interval, proration)
        self._renew(HOUR + 1)
        self._go_on(subscription, 0.5)
        self._add_or_remove_seats(subscription, amount, interval, proration)

    @precondition(lambda self: self.subscriptions)
    @rule(
        subscription=SUBSCRIPTIONS, values=st.tuples(st.integers(1, 90), st.integers(1, 90)), renewals=st.integers(1, 2)
    )
    def use_until_after_the_renewal(self, subscription: str, values: tuple[int, int], renewals: int) -> None:
        """What is reported in the hour of the draft still belongs to the period that is over."""
        for _ in range(renewals):
            self._go_on(subscription, 0.5)
            self._use(values[0], 0)
            self._renew(HOUR // 2)
            self._use(values[1], HOUR)
            self.world.advance(HOUR)

    @precondition(lambda self: self.subscriptions)
    @rule(subscription=SUBSCRIPTIONS, value=st.integers(1, 90), proration=CHARGED)
    def metered_item_goes_and_comes_back(self, subscription: str, value: int, proration: str) -> None:
        for _ in range(2):
            self._use(value, 0)
            self._go_on(subscription, 0.3)
            self._add_or_remove_metered(subscription, proration, None)
        self._use(value, 0)
        self._renew(HOUR + 1)

    @precondition(lambda self: self.running())
    @rule(days=st.integers(0, 6), pays=st.booleans())
    def declined_until_there_is_another_card(self, days: int, pays: bool) -> None:
        """The renewal fails, and its tries do; then the customer pays, or the next try does."""
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
        """The renewal fails and is credited, as a whole or in part. The next try takes the rest."""
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
        """Once with a card that fails: then it waits until another pays for it, or for ever."""
        self._go_on(subscription, 0.2)
        self._card("pm_card_chargeCustomerFail")
        self._swap(subscription, amounts[0], 4, "always_invoice", payment="pending_if_incomplete")
        self._card("pm_card_visa")
        invoice = self.found(subscription)["latest_invoice"]
        if paid:
            self._settle(invoice, "pay")
        else:
            self.world.advance(DAY)
        self._go_on(subscription, 0.5)
        self._swap(subscription, amounts[1], 1, "create_prorations")

    @precondition(lambda self: self.subscriptions)
    @rule(subscription=SUBSCRIPTIONS, amounts=st.lists(PRICES, min_size=2, max_size=2, unique=True), part=PARTS)
    def swap_whose_invoice_becomes_void(self, subscription: str, amounts: list[int], part: float) -> None:
        self._card("pm_card_chargeCustomerFail")
        self._go_on(subscription, part)
        self._swap(subscription, amounts[0], 3, "always_invoice")
        self._settle(self.found(subscription)["latest_invoice"], "void")
        self._card("pm_card_visa")
        self._go_on(subscription, part)
        self._swap(subscription, amounts[1], 2, "always_invoice")

    @precondition(lambda self: self.subscriptions)
    @rule(subscription=SUBSCRIPTIONS, part=PARTS, stays=st.booleans())
    def leave_at_the_end_or_stay(self, subscription: str, part: float, stays: bool) -> None:
        self.update(subscription, cancel_at_period_end=True)
        self._go_on(subscription, part)
        if stays:
            self.update(subscription, cancel_at_period_end=False)
        self._renew(HOUR + 1)
