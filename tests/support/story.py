"""Lets organizations live through months under one clock, and calculates beside it what each of them should see."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Event
from typing import Any

from sqlalchemy import text

from gateway.services.invoices.upcoming import calculate_charges
from gateway.services.levels.follow import follow_levels
from gateway.services.spend_alerts.check import check_spend
from gateway.services.usage.report_to_stripe import send_due_reports
from tests.support.api import ApiClient
from tests.support.clock import DAY, ManualClock
from tests.support.expected_account import ExpectedAccount
from tests.support.json_types import Json
from tests.support.notified import notify
from tests.support.story_scripts import GOOD, Act, Script
from tests.support.world import World

HOUR, MINUTE = 3600, 60
LATER = 30
"""Seconds after which the worker also does what it has put off, such as lookups."""
ALERT = 110_000
DETAILS: dict[str, Any] = {"name": "Acme", "email": "owner@acme.example", "tax_ids": []}
ADDRESS = {"line1": "1 Main St", "line2": None, "city": "Town", "state": None, "postal_code": "10115"}
MAKE_JOBS_DUE = text(
    "UPDATE procrastinate_jobs SET scheduled_at = now() WHERE status = 'todo' AND scheduled_at <= :moment"
)


@dataclass
class Life:
    """One organization: its client, its script and what is expected of it. Its acts are methods."""

    world: World
    clock: ManualClock
    script: Script
    api: ApiClient
    service: ApiClient
    expected: ExpectedAccount
    level: int | None = None
    raised_spend: bool = False
    """Whether something has happened since the last check that may raise the spend."""
    sent: int = 0
    """The API calls that the gateway must send to Stripe."""
    owed: int = 0
    """Those of them that Stripe must bill."""

    @property
    def now(self) -> int:
        """Return the time in unix seconds."""
        return int(self.clock.now)

    def try_plus(self) -> None:
        """Enrol, and begin the trial without a card."""
        self.expected.subscribe(self.now)
        self.expected.try_plus(self.now, 1)
        self.api.ok("POST", "/subscription", currency=self.script.currency)
        self.tell_address()

    def enrol(self) -> None:
        """Enrol on Free."""
        self.expected.subscribe(self.now)
        self.api.ok("POST", "/subscription", plan="free", currency=self.script.currency)
        self.tell_address()

    def tell_address(self) -> None:
        """Enter billing details."""
        self.api.ok("PUT", "/billing-details", **DETAILS, address={**ADDRESS, "country": self.script.country})

    def add_card(self, card: str) -> None:
        """Add a card and make it the default."""
        self.expected.card = "good" if card == GOOD else "bad"
        self.api.add_card(self.world.stripe, card)

    def change(self, **wanted: Any) -> None:
        """Change the plan, the quantity or the interval."""
        account = self.expected
        plan = wanted.get("plan", account.plan)
        if account.status == "canceled":
            account.subscribe(self.now)
        self.raised_spend = True
        quantity = wanted.get("quantity") or (self.level if plan != account.plan and self.level else account.quantity)
        account.change(self.now, plan, quantity, wanted.get("interval", account.interval))
        assert self.api.ok("PATCH", "/subscription", **wanted)["state"] == "applied"

    def cancel(self) -> None:
        """Return to Free. If there is usage, the plan ends before Stripe makes the change."""
        if self.expected.has_usage():
            self.expected.facts.append(("plan.changed", "free", self.expected.quantity))
        self.expected.change(self.now, "free", 1, self.expected.interval)
        assert self.api.ok("DELETE", "/subscription")["state"] == "applied"

    def use(self, days_ago: int = 0, **quantities: int) -> None:
        """Report usage, as a service of Konnect does. If it is of an invoiced period, it is billed as if it was new."""
        self.raised_spend = True
        occurred_at = datetime.fromtimestamp(self.now - days_ago * DAY, UTC).isoformat()
        events: list[Json] = []
        for meter, quantity in quantities.items():
            self.expected.use(self.now, meter, quantity)
            events.append(
                {
                    "id": f"{self.script.organization_id}.{meter}.{self.now}",
                    "organization_id": self.script.organization_id,
                    "meter": meter,
                    "quantity": quantity,
                    "occurred_at": occurred_at,
                }
            )
        assert len(self.service.ok("POST", "/usage", events=events)["new"]) == len(events)
        calls = quantities.get("api_calls", 0)
        self.sent += calls * (self.expected.plan != "free")
        self.owed += calls * (self.expected.plan != "free" and self.expected.status != "trialing")

    def report_level(self, value: int) -> None:
        """Report the number of services. The worker follows it in the evening."""
        self.level = value
        body = {"organization_id": self.script.organization_id, "meter": "services", "value": value}
        self.service.ok("PUT", "/usage/levels", **body)

    def follow_level(self) -> None:
        """Expect that the quantity follows the level now."""
        account = self.expected
        if self.level not in (None, account.quantity) and account.plan != "free":
            account.change(self.now, account.plan, self.level or 1, account.interval)
            self.raised_spend = True

    def check_spend(self) -> None:
        """Expect that the worker checks the spend now, if it may have risen."""
        if self.raised_spend:
            self.expected.check_spend()
        self.raised_spend = False

    def pay(self) -> None:
        """Pay the open invoice."""
        self.expected.pay()
        [invoice] = [each for each in self.api.ok("GET", "/invoices")["data"] if each["status"] == "open"]
        self.api.ok("POST", f"/invoices/{invoice['id']}/pay")


@dataclass
class Story:
    """Several lives under one clock."""

    world: World
    clock: ManualClock
    lives: Sequence[Life]
    begins: int
    last_event: str = ""

    @classmethod
    def of(cls, world: World, clock: ManualClock, scripts: Iterable[Script]) -> "Story":
        """Prepare the lives of the scripts."""
        service = world.api(scopes=("usage:write",))
        lives = [
            Life(
                world=world,
                clock=clock,
                script=each,
                api=world.api(each.organization_id),
                service=service,
                expected=ExpectedAccount(currency=each.currency, tax=each.tax, alert_at=ALERT),
            )
            for each in scripts
        ]
        return cls(world, clock, lives, int(clock.now))

    def run(self, days: int) -> None:
        """Live day by day. Stripe acts when its time comes, and the worker in the afternoon and in the evening."""
        for day in range(days + 1):
            at = self.begins + day * DAY
            is_busy = self.act(day, at, ("try_plus", "enrol"))
            self.work_at(at + 2 * HOUR, is_needed=is_busy)
            is_busy = self.act(day, at + 3 * HOUR, ("add_card", "change", "cancel", "pay"))
            is_busy |= self.act(day, at + 4 * HOUR, ("use", "report_level"))
            self.work_at(at + 8 * HOUR, is_needed=is_busy, checks=True)

    def act(self, day: int, at: int, kinds: Sequence[str]) -> bool:
        """Let the organizations do what they do today, one per minute. Return whether any did."""
        found = False
        for number, life in enumerate(self.lives):
            acts = [each for each in life.script.acts if life.script.begins + each.day == day and each.what in kinds]
            for position, each in enumerate(acts):
                self.move(at + number * MINUTE + 7 * position)
                self.perform(life, each)
                found = True
        return found

    def perform(self, life: Life, act: Act) -> None:
        """Let an organization do one thing."""
        getattr(life, act.what)(**act.given)

    def move(self, moment: int) -> None:
        """Move the clock, and calculate what Stripe does until then."""
        self.clock.now = moment
        for life in self.lives:
            life.expected.advance(moment)

    def work_at(self, moment: int, *, is_needed: bool, checks: bool = False) -> None:
        """Let everything be delivered and worked on, if there is anything."""
        self.move(moment)
        if not is_needed and self.find_newest_event() == self.last_event:
            return
        self.work()
        for life in self.lives:
            life.expected.return_to_floor(moment)
        follow_levels(self.world.gateway, Event())
        if checks:
            for life in self.lives:
                life.follow_level()
                life.check_spend()
        send_due_reports(self.world.gateway, Event())
        calculate_charges(self.world.gateway)
        check_spend(self.world.gateway, Event())
        self.clock.now += LATER
        self.work()
        notify(self.world)

    def work(self) -> None:
        """Let the worker do what is due at the present time, after everything is delivered."""
        with self.world.gateway.database.transaction() as session:
            session.execute(MAKE_JOBS_DUE, {"moment": datetime.fromtimestamp(self.clock.now, UTC)})
        self.world.await_deliveries()
        self.last_event = self.find_newest_event()
        self.world.work()

    def find_newest_event(self) -> str:
        """Return the id of Stripe's newest event."""
        [newest] = self.world.stripe.v1.events.list({"limit": 1}).data
        return newest.id
