"""An independent calculation of what Stripe bills to one organization, and of what receivers are notified of.

It follows Stripe's documentation of prorations, usage and retries, and shares no code with the gateway and the local
Stripe. https://docs.stripe.com/billing/subscriptions/prorations
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial

from tests.support.clock import DAY
from tests.support.expected_invoices import FOREVER, ExpectedInvoice, ExpectedInvoices
from tests.support.expected_prices import BASE, FREE, METERED, Period, Price, find_period, to_cents

AHEAD = 3 * DAY
NO_PERIOD = Period(0, FOREVER)


@dataclass
class Debit:
    """An amount for a time that may be credited again."""

    amount: int
    time: Period


@dataclass
class Metered:
    """The usage of a meter that is not billed yet."""

    price: Price
    since: int


@dataclass(kw_only=True)
class ExpectedAccount(ExpectedInvoices):
    """One organization at Stripe."""

    currency: str
    alert_at: int
    plan: str = "free"
    interval: str = "month"
    quantity: int = 1
    status: str = "none"
    trial_end: int = 0
    anchor: int = 0
    base: Period = NO_PERIOD
    month: Period = NO_PERIOD
    """The period of the metered items."""
    debits: list[Debit] = field(default_factory=list)
    pending: list[int] = field(default_factory=list)
    metered: dict[str, Metered] = field(default_factory=dict)
    events: list[tuple[int, str, int]] = field(default_factory=list)
    """The time, the meter and the quantity of all usage."""
    announced: set[tuple[str, int]] = field(default_factory=set)
    """What Stripe has announced, by kind and end of the period."""
    alerted: int = -1
    """The start of the period in which the spend has reached the alert."""

    # What the organization does

    def subscribe(self, now: int) -> None:
        """Begin a subscription to Free."""
        self.plan, self.interval, self.quantity, self.status, self.anchor = "free", "month", 1, "active", now
        self.base = self.month = find_period(now, "month", now)
        self.debits, self.metered = [], {}
        self.bill(now, [], at_once=True)

    def try_plus(self, now: int, quantity: int) -> None:
        """Begin the trial of Plus."""
        self.status, self.trial_end, self.anchor = "trialing", now + 30 * DAY, now + 30 * DAY
        self.base = self.month = Period(now, self.trial_end)
        self.begin_plan(now, "plus", quantity)
        self.facts += [("plan.changed", "plus", quantity), ("trial.started",)]

    def begin_plan(self, now: int, plan: str, quantity: int) -> None:
        """Replace the items. Usage counts from now on, except that of a plan that stays."""
        if plan != self.plan:
            prices = METERED.get((plan, self.currency), {})
            self.metered = {meter: Metered(price, now) for meter, price in prices.items()}
        self.plan, self.quantity = plan, quantity

    def change(self, now: int, plan: str, quantity: int, interval: str) -> None:
        """Change plan, quantity or interval, prorated by the second. Time in a trial costs nothing."""
        if self.status == "trialing":
            self.begin_plan(now, plan, quantity)
            self.facts.append(("plan.changed", plan, quantity))
            self.announce_again(now)
            return
        at_once = "year" in (self.interval, interval)
        restarts = interval != self.interval
        if plan != self.plan:
            for meter in self.metered:
                self.pending += self.count(meter, now + 1)
        self.pending += self.credit(now)
        self.begin_plan(now, plan, quantity)
        self.interval = interval
        if restarts:
            self.anchor = now
            self.base, self.month = find_period(now, interval, now), find_period(now, "month", now)
        if plan == "free":
            self.month = self.base
        self.pending += self.debit(now)
        if not restarts:
            self.facts.append(("plan.changed", plan, quantity))
        if at_once:
            self.bill(now, self.take_pending(), at_once=True)
        if not restarts:
            self.announce_again(now)

    def credit(self, now: int) -> list[int]:
        """Return the credits for the time from now on that was debited."""
        found = []
        for each in self.debits:
            if each.amount and each.time.end > now:
                length = each.time.end - each.time.start
                found.append(to_cents(Fraction(-each.amount * (each.time.end - now), length)))
        self.debits = []
        return found

    def debit(self, now: int) -> list[int]:
        """Return the debits for the present plan from now to the end of its period."""
        share = Fraction(self.base.end - now, self.base.end - self.base.start)
        amounts = [to_cents(amount * share) for _, amount in self.price().split(self.quantity) if amount]
        self.debits = [Debit(amount, Period(now, self.base.end)) for amount in amounts]
        return amounts

    def price(self) -> Price:
        """Return the price of the plan's quantity."""
        return FREE if self.plan == "free" else BASE[self.plan, self.interval, self.currency]

    def use(self, now: int, meter: str, quantity: int) -> None:
        """Record usage."""
        self.events.append((now, meter, quantity))

    def has_usage(self) -> bool:
        """Return whether the present plan has usage that is not billed yet. A trial's usage is free."""
        used = self.events if self.status != "trialing" else ()
        return any(each in self.metered and at >= self.metered[each].since for at, each, _ in used)

    def pay(self) -> None:
        """Pay the open invoice with the present card."""
        [invoice] = [each for each in self.invoices if each.status == "open"]
        self.settle(invoice)
        if self.status == "past_due":
            self.status = "active"
            self.facts.append(("standing.changed", "good"))

    def check_spend(self) -> None:
        """Notify of the spend, once in a period."""
        if self.plan == "free" or self.status == "trialing" or self.alerted == self.month.start:
            return
        spend = self.add_tax(self.preview(FOREVER))
        if spend >= self.alert_at:
            self.alerted = self.month.start
            self.facts.append(("usage.alert", self.alert_at, spend))
        else:  # between the two, the gateway would check again when more time has passed
            assert spend < 0.79 * self.alert_at, spend

    # What Stripe does

    def advance(self, now: int) -> None:
        """Do what falls due up to ``now``."""
        while (step := min(self.list_steps(), key=lambda each: each[0]))[0] <= now:
            step[1](step[0])

    def list_steps(self) -> list[tuple[int, Callable[[int], None]]]:
        """Return what Stripe does next, and when."""
        steps: list[tuple[int, Callable[[int], None]]] = [
            (each.next_step, partial(self.collect, each)) for each in self.invoices
        ]
        if self.status in ("active", "past_due", "trialing"):
            end = self.find_end()
            if self.status == "trialing" and ("trial", end) not in self.announced:
                steps.append((end - AHEAD, self.announce_end))
            if ("charges", end) not in self.announced and end - AHEAD > self.month.start:
                steps.append((end - AHEAD, self.announce_charges))
            steps.append((end, self.renew))
        return [*steps, (FOREVER, lambda _: None)]

    def find_end(self) -> int:
        """Return when the next period begins."""
        return min(self.base.end, self.month.end)

    def announce_end(self, _: int) -> None:
        """Announce the end of the trial."""
        self.announced.add(("trial", self.trial_end))
        self.facts.append(("trial.will_end",))

    def announce_charges(self, now: int) -> None:
        """Announce the next invoice."""
        end = self.find_end()
        self.announced.add(("charges", end))
        lines = self.preview(now)
        if any(lines):
            due, _ = self.split_due(self.add_tax(lines))
            self.facts.append(("charges.calculated", due, end))

    def announce_again(self, now: int) -> None:
        """Announce the next invoice again, because the subscription has changed since."""
        if ("charges", self.find_end()) in self.announced:
            self.announce_charges(now)

    def preview(self, now: int) -> list[int]:
        """Return the lines of the next invoice as known now."""
        end = self.find_end()
        lines = list(self.pending)
        if self.base.end == end:
            lines += [amount for _, amount in self.price().split(self.quantity)]
        if self.status != "trialing" and self.month.end == end:
            lines += [amount for meter in self.metered for amount in self.measure(meter, min(now + 1, end))]
        return lines

    def renew(self, now: int) -> None:
        """Begin the next period."""
        if self.status == "trialing":
            self.end_trial(now)
            if self.status == "lapsed":
                return
        lines = self.take_pending()
        if self.month.end == now:
            lines += [amount for meter in self.metered for amount in self.count(meter, now)]
            self.month = find_period(self.anchor, "month", now)
        if self.base.end == now:
            self.base = find_period(self.anchor, self.interval, now)
            amounts = [amount for _, amount in self.price().split(self.quantity)]
            lines += amounts
            self.debits = [Debit(amount, self.base) for amount in amounts]
        if self.plan == "free":
            self.month = self.base
        self.bill(now, lines)

    def end_trial(self, now: int) -> None:
        """End the trial. Its usage is free. Without a card, the subscription ends."""
        self.status = "active"
        for each in self.metered.values():
            each.since = now
        if self.card is None:
            self.lose_plan("lapsed")
        self.facts.append(("trial.ended",))

    def lose_plan(self, status: str) -> None:
        """End the subscription with Stripe's status ``canceled``, or with ``lapsed`` after a trial."""
        self.status, self.plan, self.quantity = status, "free", 1
        self.metered, self.debits, self.pending = {}, [], []
        self.facts.append(("plan.changed", "free", 1))

    def return_to_floor(self, now: int) -> None:
        """Begin a subscription to Free again if the trial has lapsed."""
        if self.status == "lapsed":
            self.subscribe(now)

    def measure(self, meter: str, until: int) -> list[int]:
        """Return the lines of the usage before ``until`` that is not billed."""
        metered = self.metered[meter]
        used = [quantity for at, name, quantity in self.events if name == meter and metered.since <= at < until]
        quantity = sum(used) if meter == "api_calls" else (used or [0])[-1]
        return [amount for _, amount in metered.price.split(quantity)]

    def count(self, meter: str, until: int) -> list[int]:
        """Bill the usage before ``until``, and return its lines."""
        lines = self.measure(meter, until)
        self.metered[meter].since = until
        return lines

    def take_pending(self) -> list[int]:
        """Return the pending items, and forget them."""
        lines, self.pending = self.pending, []
        return lines

    def note_failure(self, invoice: ExpectedInvoice) -> None:
        """Notify of a declined payment. After the last attempt, the subscription ends."""
        failed = ("payment.failed", invoice.due, invoice.attempts)
        if invoice.next_step == FOREVER:
            self.lose_plan("canceled")
            self.facts += [("standing.changed", "good"), failed]
        elif self.status == "active":
            self.status = "past_due"
            self.facts += [("standing.changed", "grace"), failed]
        else:
            self.facts.append(failed)
