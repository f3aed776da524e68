"""Organizations live for years under one clock. The clock jumps to the next thing, so no time is spent waiting."""

import heapq
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from random import Random
from unittest.mock import patch

import requests
import stripe
from sqlalchemy import text

from gateway.catalog import Catalog, CatalogPrice, Charge, TaxBehavior
from gateway.db.models import Base
from gateway.sandbox.settings import Settings
from gateway.services.operations.catalog_sync import sync_catalog
from tests.simulation.gateway_side import OFTEN, SELDOM, GatewaySide
from tests.simulation.invariants import check_all
from tests.simulation.network import Network
from tests.simulation.one_clock import BEGINS, OneClock, in_one_time
from tests.simulation.others import Others
from tests.simulation.people import People
from tests.simulation.receiver import Receiver
from tests.simulation.stripe_side import StripeSide
from tests.support.clock import DAY
from tests.support.database import PROCRASTINATE
from tests.support.json_types import Json

YEAR = 365 * DAY
COHORT = 5
"""How many organizations sign up in one moment. Stripe renews them together, and the worker merges that together."""
# The order of rows without ORDER BY depends on their place on disk, so each run begins with new files.
EMPTY = text(f"TRUNCATE {', '.join((*Base.metadata.tables, *PROCRASTINATE))} RESTART IDENTITY CASCADE")


def sell(charge: Charge, taxes: TaxBehavior) -> Catalog:
    """Return the catalogue with a Plus that is charged at ``charge``. ``taxes`` says how its prices are taxed."""

    def tax(prices: tuple[CatalogPrice, ...]) -> tuple[CatalogPrice, ...]:
        return tuple(replace(each, tax_behavior=taxes) for each in prices)

    base = Catalog.load(None)
    plans = [
        replace(
            plan,
            prices=tax(plan.prices),
            metered=tuple(replace(each, prices=tax(each.prices)) for each in plan.metered),
            charge=charge if plan.key == "plus" else plan.charge,
        )
        for plan in base.plans
    ]
    return replace(base, plans=tuple(plans))


@dataclass
class Simulation:
    """Everything that lives in one process."""

    database_url: str
    seed: int
    organizations: int = 20
    trouble: float = 0.02
    """The probability that a call to Stripe or a delivery fails."""
    deaths: float = 0.002
    """The probability that a process dies at a commit or at a call."""
    pause: float = 45
    """Days between two acts of an organization, on average."""
    interference: float = 9
    """Days between two acts of others, on average."""
    agenda: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    refusals: Counter[str] = field(default_factory=Counter)
    used: list[Json] = field(default_factory=list)
    """The usage that people reported, with the seconds of use and report, and whether it surely counts."""
    moved: dict[str, datetime | None] = field(default_factory=dict)
    """When each usage event counts, if not at its own time. The gateway stored it under this id."""

    def __post_init__(self) -> None:
        self.random = Random(self.seed)  # noqa: S311 - not a secret
        self.clock = OneClock()
        self.planned = 0
        self.worker_at: float = BEGINS
        self.upkeep_at: float = BEGINS
        self.walk_at: float = BEGINS
        self.is_calm = False
        self.is_left_alone = self.seed % 3 == 0
        """Whether only the gateway and its operators act, so that all changes are the gateway's own."""
        settings = Settings(
            retry_days=self.random.choice(((3, 5, 7), (1, 2), (7,))),
            after_retries=self.random.choice(("canceled", "unpaid", "past_due")),
        )
        self.charge: Charge = self.random.choice(("on_billing_date", "now"))
        self.taxes: TaxBehavior = self.random.choice(("exclusive", "inclusive"))
        catalog = sell(self.charge, self.taxes)
        self.stripe = StripeSide(self.clock, self.random, settings)
        self.wire = self.stripe.wire()
        self.gateway = GatewaySide(self.database_url, catalog, self.clock, self.random, self.wire)
        self.network = Network(self.stripe, self.gateway, self.clock, self.random, 0)
        self.receiver = Receiver(self.random)
        self.others = Others(self, self.random)
        self.people = [People(f"org_{number}", self, self.random) for number in range(self.organizations)]

    def run(self, years: float) -> None:
        """Live for some years, and check the invariants at the end."""
        with in_one_time(self.clock, self.random), patch.object(requests, "post", self.receiver.post):
            self.begin()
            ends = BEGINS + years * YEAR
            while self.clock() < ends:
                self.run_until(min(ends, self.clock() + self.random.randrange(20, 200) * DAY))
                self.settle()
                check_all(self)
                self.trouble_begins()

    def begin(self) -> None:
        self.gateway.gateway.database.execute(EMPTY)
        list(sync_catalog(self.gateway.gateway))
        for number, each in enumerate(self.people):
            if number % COHORT == 0:
                joins = self.random.uniform(0, 2 * self.pause * DAY)
            self.plan(joins + self.random.uniform(0, 3), partial(self.live, each))
        self.others.make_offers()
        self.plan(2 * self.interference * DAY, self.let_others_act)
        self.trouble_begins()

    def trouble_begins(self) -> None:
        self.is_calm = False
        self.wire.trouble = self.network.trouble = self.receiver.trouble = self.trouble
        self.wire.deaths, self.gateway.deaths = self.deaths, self.deaths

    def trouble_ends(self) -> None:
        self.is_calm = True
        self.wire.trouble = self.network.trouble = self.receiver.trouble = 0
        self.wire.deaths = self.gateway.deaths = 0

    def live(self, people: People) -> None:
        """Let people act, and plan their next act."""
        if not self.is_calm:
            people.act()
        self.plan(people.next_act(), partial(self.live, people))

    def let_others_act(self) -> None:
        """Let somebody else act, and plan the next time."""
        if not self.is_calm:
            self.others.act()
        self.plan(self.random.expovariate(1 / (self.interference * DAY)), self.let_others_act)

    def plan(self, delay: float, act: Callable[[], None]) -> None:
        """Plan an act in some seconds."""
        self.planned += 1
        heapq.heappush(self.agenda, (round(self.clock() + delay, 3), self.planned, act))

    def note_activity(self) -> None:
        """Let the worker look soon, because somebody did something."""
        self.worker_at = min(self.worker_at, self.clock() + self.random.choice((1, 3, 15)))

    def plan_upkeep(self, delay: float) -> None:
        """Let the worker run its periodic tasks in some seconds."""
        self.upkeep_at = min(self.upkeep_at, self.clock() + delay)

    def run_until(self, end: float) -> None:
        """Let everything happen up to a moment."""
        while (at := self.find_next()) <= end:
            self.clock.move(at)
            self.step()
        self.clock.move(end)

    def find_next(self) -> float:
        """Return when the next thing happens."""
        moments = [self.worker_at, self.upkeep_at, self.walk_at, self.network.next_arrival(), self.stripe.next_due()]
        moments.append(self.agenda[0][0] if self.agenda else None)
        return min(each for each in moments if each is not None)

    def step(self) -> None:
        """Do everything that is due now."""
        self.stripe.let_time_pass()
        self.network.send_off()
        if self.network.deliver():
            self.note_activity()
        if self.agenda and self.agenda[0][0] <= self.clock():
            heapq.heappop(self.agenda)[2]()
        if self.walk_at <= self.clock():
            self.walk_at = self.clock() + self.random.choice((10, 30, 90)) * DAY
            self.work(*SELDOM)
        elif self.upkeep_at <= self.clock():
            self.upkeep_at = self.clock() + 5 * DAY
            self.work(*OFTEN)
        elif self.worker_at <= self.clock():
            self.work()

    def work(self, *periodic: str) -> None:
        """Let the worker work, and look again when something is due."""
        due = self.gateway.work(*periodic)
        self.network.send_off()
        if due is None:
            self.worker_at = self.clock() + 30 * DAY
        else:  # what is still due waits for something else, such as a paused receiver
            self.worker_at = due if due > self.clock() else self.clock() + 60

    def try_at_stripe(self, call: Callable[[], object]) -> bool:
        """Call Stripe as somebody who is not the gateway. Return whether Stripe accepted it."""
        try:
            call()
        except (stripe.InvalidRequestError, stripe.CardError):
            return False
        return True

    def settle(self) -> None:
        """End all trouble, and let four days pass, so that everything is delivered, retried and reconciled."""
        self.trouble_ends()
        self.others.end_grants()
        self.run_until(self.clock() + 3 * DAY)
        for _ in range(2):  # what the walks find may need another look
            self.work(*OFTEN, *SELDOM)
            self.run_until(self.clock() + DAY / 2)
        self.network.send_off()
        # The events of the last second are still on their way, or the worker looks at them within some seconds.
        while self.network.on_their_way or self.worker_at < self.clock() + 60:
            self.run_until(self.clock() + 60)

    def close(self) -> None:
        self.gateway.close()

    def summary(self) -> str:
        """Say what happened, for a report of one line."""
        years = (self.clock() - BEGINS) / YEAR
        died, failed = sum(self.gateway.died.values()), sum(self.wire.failed.values())
        return (
            f"{years:.2f} years, {len(self.people)} organizations, {len(self.stripe.events)} events, "
            f"{self.wire.calls} calls to Stripe, {failed} of them failed in {len(self.wire.failed)} ways, "
            f"{died} processes died at {len(self.gateway.died)} places"
        )
