"""What the gateway's users and its workers do, in any order, and what happens while they wait for Stripe."""

from collections import Counter
from contextlib import suppress
from itertools import count
from random import Random
from typing import ClassVar, get_args

from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from gateway.catalog import Charge
from gateway.db import jobs
from gateway.errors import CardDeclined, GatewayError, StripeUnavailable
from gateway.services.mirror.merge import merge
from gateway.services.mirror.refresh import retrieve
from gateway.services.plan_changes.request import change_plan
from gateway.services.reconciliation.run import reconcile
from gateway.stripe_api.snapshots import Snapshot
from handlers import HANDLERS
from schemas.subscription import ChangeCommand
from tests.stateful.convergence.dashboard import CARDS, ORGANIZATIONS, PAUSES, WHOSE
from tests.stateful.convergence.network import EXTRAS, FORMS, PICKS, Network
from tests.stateful.convergence.stepped_gateway import Job, SteppedGateway
from tests.support.json_types import Json

MEANWHILE = st.sampled_from([None, None, "deliver", "edit", "edit and deliver", "deliver before", "slow", "lost"])
"""What happens while a call is on its way to Stripe, or its answer to the gateway."""


class Workers(Network):
    """The gateway at work."""

    database_url: str
    calls: ClassVar[Counter[str]] = Counter()
    """Refreshes, and the events that they came of, of all examples together."""
    random: Random
    """Of what comes after the last step."""

    def __init__(self) -> None:
        super().__init__()
        self.held: list[tuple[Job, Snapshot]] = []
        """Refreshes whose worker has Stripe's answer, and has not merged it."""

    @initialize(
        skew=st.sampled_from([0, 0, -20, 20]),
        card=CARDS,
        plan=st.sampled_from(["free", "plus"]),
        charge=st.sampled_from(get_args(Charge)),
        seed=st.integers(0, 1_000_000),
    )
    def begin(self, skew: int, card: str, plan: str, charge: Charge, seed: int) -> None:
        self.stage = SteppedGateway(self.database_url, skew, charge)
        self.random = Random(seed)  # noqa: S311 - no secret
        self.make_prices()
        stranger = self.stage.account.customer()
        self.stage.account.subscribe(stranger.id, self.prices["plus"])
        self.enrol(ORGANIZATIONS[0], card, plan)
        self.enrol(ORGANIZATIONS[1], "pm_card_visa", "free")
        self.listen()

    def make_prices(self) -> None:
        """Those of the catalogue, one that sales made, and two of products that are no plans."""
        listed = {each["lookup_key"]: each["id"] for each in self.stage.read("/v1/prices")}
        self.prices = {plan: listed[f"konnect_{plan}_usd_month"] for plan in ("free", "plus")}
        monthly: Json = {"currency": "usd", "recurring": {"interval": "month"}}
        products: Json = {
            "enterprise": {"product": "konnect_enterprise"},
            "unknown": {"product_data": {"name": "Workshop"}},
            "second": {"product_data": {"name": "Support"}},
        }
        for name, product in products.items():
            self.prices[name] = self.v1.prices.create(monthly | product | {"unit_amount": 700}).id

    def enrol(self, organization: str, card: str, plan: str) -> None:
        caller = self.stage.caller(organization)
        change_plan(self.stage.gateway, caller, ChangeCommand(plan="free", enroll=True))
        self.change_card(organization, card, 0)
        if plan != "free":
            with suppress(CardDeclined):
                change_plan(self.stage.gateway, caller, ChangeCommand(plan=plan, quantity=1))

    @rule(
        whose=WHOSE,
        plan=st.sampled_from(["free", "plus"]),
        quantity=st.integers(1, 3),
        meanwhile=MEANWHILE,
        picks=PICKS,
        pause=PAUSES,
    )
    def change_plan(
        self, whose: str, plan: str, quantity: int, meanwhile: str | None, picks: list[int], pause: int
    ) -> None:
        """Through the gateway: by its rules, or refused."""
        quantity = 1 if plan == "free" else quantity
        self.plan_meanwhile(meanwhile, whose, picks)
        command = ChangeCommand(plan=plan, quantity=quantity)
        with suppress(GatewayError):
            change_plan(self.stage.gateway, self.stage.caller(whose), command)
        self.stage.line.forget()
        self.stage.wait(pause)

    def plan_meanwhile(self, what: str | None, whose: str, picks: list[int]) -> None:
        """Let it happen with the next call."""
        line = self.stage.line
        line.dates_late, line.loses = what == "slow", what == "lost"

        def happen() -> None:
            if what in ("edit", "edit and deliver", "slow"):
                self.edit(whose, "quantity", 1 + len(picks))
            if what != "edit":
                self.deliver_some([*picks, *picks] if picks else [-1, -1, -1])
                self.stage.drain()
            if what == "slow":
                self.stage.wait(7)

        if what == "deliver before":
            line.before = happen
        elif what is not None:
            line.meanwhile = happen

    @rule(picks=PICKS, meanwhile=MEANWHILE, whose=WHOSE, also=PICKS, late=st.booleans())
    def work(self, picks: list[int], meanwhile: str | None, whose: str, also: list[int], *, late: bool) -> None:
        """Some of the jobs that are due, or even long after they were."""
        for pick in picks:
            waiting = self.runnable(self.stage.jobs() if late else self.stage.due())
            if waiting:
                self.plan_meanwhile(meanwhile, whose, also)
                self.do(waiting[pick % len(waiting)])
                self.stage.line.forget()

    def do(self, job: Job) -> None:
        """As the worker does it; a change whose answer was lost is looked at again later."""
        before = len(self.stage.line.calls)
        try:
            self.stage.work(job)
        except StripeUnavailable:
            self.stage.put_back(job)
        if job.task == jobs.REFRESH:
            self.calls["refreshes"] += len(self.stage.line.calls) - before

    def runnable(self, waiting: list[Job]) -> list[Job]:
        """Those whose lock is free."""
        locked = {job.lock for job, _ in self.held}
        return [job for job in waiting if job.lock is None or job.lock not in locked]

    @rule(pick=st.integers(0, 5), meanwhile=MEANWHILE, whose=WHOSE, also=PICKS)
    def begin_a_refresh(self, pick: int, meanwhile: str | None, whose: str, also: list[int]) -> None:
        """Its worker has Stripe's answer, and gets stuck there."""
        refreshes = [job for job in self.runnable(self.stage.jobs()) if job.task == jobs.REFRESH]
        if refreshes:
            job = refreshes[pick % len(refreshes)]
            self.stage.start_job(job)
            self.plan_meanwhile(meanwhile if meanwhile != "lost" else None, whose, also)
            snapshot = retrieve(self.stage.gateway, job.args["kind"], job.args["stripe_id"])
            self.stage.line.forget()
            if snapshot is None:  # deleted meanwhile
                self.stage.end_job(job)
            else:
                self.held.append((job, snapshot))

    @rule(
        whose=WHOSE,
        quantities=st.permutations([1, 2, 3, 4]),
        picks=PICKS,
        form=st.sampled_from(FORMS),
        meanwhile=MEANWHILE,
    )
    def refresh_in_a_burst(
        self, whose: str, quantities: list[int], picks: list[int], form: str, meanwhile: str | None
    ) -> None:
        """Edits of one second arrive the last first, so that somebody must ask; and more happens while he asks."""
        self.listen()
        for quantity in quantities:
            self.edit(whose, "quantity", quantity)
        self.deliver_some([-1], form)
        self.stage.drain()
        self.begin_a_refresh(-1, meanwhile, whose, [-pick - 1 for pick in picks])
        self.deliver_some([-1])
        self.stage.drain()

    @precondition(lambda self: self.held)
    @rule(pick=st.integers(0, 5))
    def end_a_refresh(self, pick: int) -> None:
        self.merge_held(pick)

    def merge_held(self, pick: int) -> None:
        """What the worker does after all, however much was told meanwhile."""
        job, snapshot = self.held.pop(pick % len(self.held))
        with self.stage.gateway.database.transaction() as session:
            merge(session, [snapshot], self.stage.now())
        self.stage.end_job(job)

    @precondition(lambda self: self.loses)
    @rule()
    def reconcile_meanwhile(self) -> None:
        self.reconcile()

    def reconcile(self) -> None:
        reconcile(self.stage.gateway, HANDLERS, dry_run=False, say=lambda _: None)

    def settle(self) -> None:
        """All that is on its way arrives, in any order, and all that waits is done, in any order."""
        for turn in count():
            assert turn < 3000, "it never comes to rest"
            self.listen()
            if not self.on_its_way:
                self.stage.drain()
            waiting = self.runnable(self.stage.jobs())
            if not (self.on_its_way or waiting or self.held):
                break
            if not (self.on_its_way or self.held):  # some jobs would come back for ever if they were always too early
                self.stage.wait_for_a_job()
            for _ in range(self.random.randint(1, 12)):
                self.deliver_next(self.random.randrange(1000), self.random.choice(FORMS), self.random.choice(EXTRAS))
            if self.random.randrange(2):
                self.stage.drain()
            if waiting and self.random.randrange(2):
                self.do(self.random.choice(waiting))
            if self.held and self.random.randrange(2):
                self.merge_held(self.random.randrange(1000))
        self.calls["events"] += len(self.stage.delivered)
