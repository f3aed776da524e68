"""What the network, the workers and the gateway's own users do, in any order."""

from collections import Counter
from random import Random
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from gateway.db import jobs
from gateway.errors import GatewayError, StripeUnavailable
from gateway.services import plan_changes, sync
from gateway.services.reconcile import reconcile
from gateway.services.refresh import retrieve
from gateway.stripe_api.snapshots import Snapshot
from handlers import HANDLERS
from schemas.subscription import ChangeCommand
from tests.sandbox.support import Json
from tests.stateful import deliveries
from tests.stateful.dashboard import CARDS, ORGANIZATIONS, PAUSES, WHOSE, Dashboard
from tests.stateful.stage import Job, Stage

PICKS = st.lists(st.integers(0, 40), max_size=6)
"""Which of what is on its way, one after the other: counted round and round."""
MEANWHILE = st.sampled_from([None, None, "deliver", "edit", "edit and deliver", "slow", "lost"])
"""What happens while an answer of Stripe's is on its way to the gateway."""
FORMS = st.sampled_from(["as it is"] * 6 + ["older version", "older shape"])
EXTRAS = st.sampled_from(["none"] * 4 + ["again", "twin", "live"])


class Traffic(Dashboard):
    """``loses``: whether deliveries may be lost for good."""

    database_url: str
    loses = False

    @initialize(
        skew=st.sampled_from([0, 0, -20, 20]),
        card=CARDS,
        plan=st.sampled_from(["free", "plus"]),
        seed=st.integers(0, 1_000_000),
    )
    def begin(self, skew: int, card: str, plan: str, seed: int) -> None:
        self.stage = Stage(self.database_url, skew)
        self.random = Random(seed)  # noqa: S311 - no secret; of what comes after the last step
        self.on_its_way: list[Json] = []
        self.held: list[tuple[Job, Snapshot]] = []
        self.misread: set[str] = set()
        self.number = 0
        v1 = self.v1
        [free], [plus] = (
            v1.prices.list({"lookup_keys": [f"konnect_{each}_usd_month"]}).data for each in ("free", "plus")
        )
        self.prices = {"free": free.id, "plus": plus.id}
        monthly: Json = {"currency": "usd", "recurring": {"interval": "month"}}
        enterprise = monthly | {"product": "konnect_enterprise", "unit_amount": 90_000}
        self.prices["enterprise"] = v1.prices.create(enterprise).id
        for name in ("unknown", "second"):
            self.prices[name] = v1.prices.create(monthly | {"product_data": {"name": name}, "unit_amount": 700}).id
        stranger = self.stage.account.customer()
        self.stage.account.subscribe(stranger.id, plus.id)
        self.enrol(ORGANIZATIONS[0], card, plan)
        self.enrol(ORGANIZATIONS[1], "pm_card_visa", "free")
        self.listen()

    def enrol(self, organization: str, card: str, plan: str) -> None:
        caller = self.stage.caller(organization)
        plan_changes.change(self.stage.gateway, caller, ChangeCommand(plan="free", enroll=True))
        self.change_card(organization, card, 0)
        if plan != "free":
            plan_changes.change(self.stage.gateway, caller, ChangeCommand(plan=plan, quantity=1))

    def listen(self) -> None:
        """What Stripe has told by now is on its way."""
        self.on_its_way += self.stage.hear()

    def deliver_some(self, picks: list[int], form: str = "as it is", extra: str = "none") -> None:
        self.listen()
        for pick in picks:
            if self.on_its_way:
                event = self.on_its_way.pop(pick % len(self.on_its_way))
                self.deliver_one(event, form, extra)

    def deliver_one(self, event: Json, form: str, extra: str) -> None:
        self.number += 1
        if form != "as it is" and event["type"] != "invoice.deleted":  # Stripe could not be asked for it
            if event["type"] == "invoice.upcoming":
                self.misread.add(event["data"]["object"]["parent"]["subscription_details"]["subscription"])
            told = deliveries.of_an_older_version(event) if form == "older version" else deliveries.before_basil(event)
        else:
            told = event
        self.stage.deliver(told)
        if extra == "again":
            self.stage.deliver(event)
        elif extra == "twin":
            self.on_its_way.append(deliveries.twin(event, self.number))
        elif extra == "live":
            self.stage.deliver(deliveries.of_live_mode(event, self.number))

    @rule(picks=PICKS, form=FORMS, extra=EXTRAS, drains=st.booleans())
    def deliver(self, picks: list[int], form: str, extra: str, *, drains: bool) -> None:
        self.deliver_some(picks, form, extra)
        if drains:
            self.stage.drain()

    @rule(newest=st.integers(1, 8), one_by_one=st.booleans())
    def deliver_the_newest_first(self, newest: int, *, one_by_one: bool) -> None:
        self.listen()
        for _ in range(min(newest, len(self.on_its_way))):
            self.deliver_one(self.on_its_way.pop(), "as it is", "none")
            if one_by_one:
                self.stage.drain()

    @rule(one_by_one=st.booleans())
    def deliver_all_in_turn(self, *, one_by_one: bool) -> None:
        self.listen()
        while self.on_its_way:
            self.deliver_one(self.on_its_way.pop(0), "as it is", "none")
            if one_by_one:
                self.stage.drain()
        self.stage.drain()

    @rule(picks=PICKS)
    def deliver_once_more(self, picks: list[int]) -> None:
        """What came long ago."""
        known = [each for each in self.stage.events if each["id"] in self.stage.delivered]
        for pick in picks if known else []:
            self.deliver_one(known[pick % len(known)], "as it is", "twin" if pick % 2 else "none")

    @precondition(lambda self: self.loses)
    @rule(picks=PICKS, all_of_it=st.booleans())
    def lose(self, picks: list[int], *, all_of_it: bool) -> None:
        self.listen()
        if all_of_it:
            self.on_its_way = [each for each in self.on_its_way if not self.can_be_lost(each)]
        for pick in picks:
            if self.on_its_way and self.can_be_lost(self.on_its_way[pick % len(self.on_its_way)]):
                self.on_its_way.pop(pick % len(self.on_its_way))

    def can_be_lost(self, event: Json) -> bool:  # noqa: ARG002 - see DriftOnly
        return True

    @rule(
        whose=WHOSE,
        plan=st.sampled_from(["free", "plus"]),
        quantity=st.integers(1, 3),
        meanwhile=MEANWHILE,
        after=st.integers(0, 2),
        picks=PICKS,
        pause=PAUSES,
    )
    def change_plan(
        self, whose: str, plan: str, quantity: int, meanwhile: str | None, after: int, picks: list[int], pause: int
    ) -> None:
        """Through the gateway: by its rules, or refused."""
        quantity = 1 if plan == "free" else quantity
        self.plan_meanwhile(meanwhile, whose, picks)
        try:
            command = ChangeCommand(plan=plan, quantity=quantity)
            plan_changes.change(self.stage.gateway, self.stage.caller(whose), command)
        except GatewayError:
            pass
        self.stage.line.forget()
        self.stage.wait(pause)

    def plan_meanwhile(self, what: str | None, whose: str, picks: list[int]) -> None:
        """Let it happen between Stripe's next answer and its arrival."""
        line = self.stage.line
        line.dates_late, line.loses = what == "slow", what == "lost"

        def happen() -> None:
            if what in ("edit", "edit and deliver", "slow"):
                self.edit(whose, "quantity", 1 + len(picks))
            if what in ("deliver", "edit and deliver", "slow"):
                self.deliver_some([*picks, *picks] if picks else [-1, -1, -1])
                self.stage.drain()
            if what == "slow":
                self.stage.wait(7)

        line.meanwhile = happen if what else None

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
        self.working = True
        try:
            self.stage.work(job)
        except StripeUnavailable:
            self.stage.put_back(job)
        finally:
            self.working = False

    def runnable(self, waiting: list[Job]) -> list[Job]:
        """Those whose lock is free."""
        locked = {job.lock for job, _ in self.held}
        return [job for job in waiting if job.lock is None or job.lock not in locked]

    @rule(pick=st.integers(0, 5))
    def begin_a_refresh(self, pick: int) -> None:
        """Its worker has Stripe's answer, and gets stuck there."""
        refreshes = [job for job in self.runnable(self.stage.jobs()) if job.task == jobs.REFRESH]
        if refreshes:
            job = refreshes[pick % len(refreshes)]
            self.stage.start_job(job)
            snapshot = retrieve(self.stage.gateway, job.args["kind"], job.args["stripe_id"])
            assert snapshot is not None
            self.held.append((job, snapshot))

    @precondition(lambda self: self.held)
    @rule(pick=st.integers(0, 5))
    def end_a_refresh(self, pick: int) -> None:
        job, snapshot = self.held.pop(pick % len(self.held))
        with self.stage.gateway.database.transaction() as session:
            sync.merge(session, [snapshot], self.stage.now())
        self.stage.end_job(job)

    @precondition(lambda self: self.loses)
    @rule()
    def reconcile_meanwhile(self) -> None:
        self.reconcile()

    def reconcile(self) -> None:
        reconcile(self.stage.gateway, HANDLERS, dry_run=False, say=lambda _: None)

    def settle(self) -> None:
        """All that is on its way arrives, in any order, and all that waits is done, in any order."""
        while True:
            self.listen()
            waiting = self.runnable(self.stage.jobs())
            if not (self.on_its_way or waiting or self.held):
                break
            for _ in range(self.random.randint(1, 12)):
                if self.on_its_way:
                    self.deliver_some([self.random.randrange(1000)])
            if self.random.random() < 0.6:  # noqa: PLR2004 - any odds
                self.stage.drain()
            if waiting and self.random.random() < 0.6:  # noqa: PLR2004 - any odds
                self.do(self.random.choice(waiting))
            if self.held and self.random.random() < 0.6:  # noqa: PLR2004 - any odds
                self.end_a_refresh_now()
        self.stage.drain()

    def end_a_refresh_now(self) -> None:
        job, snapshot = self.held.pop(self.random.randrange(len(self.held)))
        with self.stage.gateway.database.transaction() as session:
            sync.merge(session, [snapshot], self.stage.now())
        self.stage.end_job(job)

    def counted(self) -> Counter[str]:
        return Counter(self.stage.line.calls)

    working: Any = False
