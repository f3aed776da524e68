"""The rules for the gateway's users and workers, and for events while they wait for Stripe."""

from collections import Counter
from contextlib import suppress
from itertools import count
from random import Random
from typing import ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule
from sqlalchemy import select

from gateway.catalog import Catalog
from gateway.db import jobs
from gateway.db.models import OrganizationPlan
from gateway.errors import CardDeclined, GatewayError, StripeUnavailable
from gateway.services.mirror.merge import merge
from gateway.services.mirror.refresh import retrieve
from gateway.services.plan_changes.request import change_plan
from gateway.services.reconciliation.run import reconcile
from gateway.stripe_api.snapshots import Snapshot
from handlers import HANDLERS
from schemas.changes import ChangeCommand
from tests.stateful.convergence.charges import ShownMethods
from tests.stateful.convergence.dashboard import CARDS, ORGANIZATIONS, PAUSES, WHOSE
from tests.stateful.convergence.network import EXTRAS, FORMS, PICKS, Network
from tests.stateful.convergence.stepped_gateway import Job, SteppedGateway
from tests.support.clock import DAY
from tests.support.drawn_catalogs import INTERVALS, catalogs_of_plus
from tests.support.json_types import Json

MEANWHILE = st.sampled_from([None, None, "deliver", "edit", "edit and deliver", "deliver before", "slow", "lost"])
"""What happens while a call or its answer is in flight."""

POLLING = {jobs.WITHDRAW_CREDITS}
"""Jobs that look again and again at a draft or a payment in progress. Stripe may leave a draft as it is."""


class Workers(Network):
    """The gateway's users and workers."""

    database_url: str
    calls: ClassVar[Counter[str]] = Counter()
    """The numbers of refreshes and of events, over all examples."""
    random: Random
    """The source of randomness after the last step."""

    def __init__(self) -> None:
        super().__init__()
        self.held: list[tuple[Job, Snapshot]] = []
        """Refreshes whose worker has Stripe's answer but has not merged it yet."""

    @initialize(
        skew=st.sampled_from([0, 0, -20, 20]),
        card=CARDS,
        plan=st.sampled_from(["free", "plus"]),
        catalog=catalogs_of_plus(),
        seed=st.integers(0, 1_000_000),
    )
    def begin(self, skew: int, card: str, plan: str, catalog: Catalog, seed: int) -> None:
        self.stage = SteppedGateway(self.database_url, skew, catalog)
        self.random = Random(seed)  # noqa: S311 - not a secret
        self.make_prices()
        stranger = self.stage.account.customer()
        self.stage.account.subscribe(stranger.id, self.prices["plus"])
        self.enrol(ORGANIZATIONS[0], card, plan)
        self.enrol(ORGANIZATIONS[1], "pm_card_visa", "free")
        self.listen()

    def make_prices(self) -> None:
        """Find the catalogue's prices, and create one for sales and two for products without a plan."""
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
        calls = {"display_name": "Calls", "event_name": "calls", "default_aggregation": {"formula": "sum"}}
        usage = {"interval": "month", "usage_type": "metered", "meter": self.v1.billing.meters.create(calls).id}
        metered: Json = {"product_data": {"name": "Calls"}, "unit_amount": 700, "recurring": usage}
        self.prices["metered"] = self.v1.prices.create(monthly | metered).id

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
        interval=st.sampled_from([None, None, *INTERVALS]),
        meanwhile=MEANWHILE,
        picks=PICKS,
        pause=PAUSES,
    )
    def change_plan(
        self,
        whose: str,
        plan: str,
        quantity: int,
        interval: str | None,
        meanwhile: str | None,
        picks: list[int],
        pause: int,
    ) -> None:
        """Change the plan through the gateway, which may refuse it."""
        command = ChangeCommand(plan=plan, quantity=quantity, interval=interval)
        if plan == "free":
            command = ChangeCommand(plan=plan, quantity=1)
        self.change(whose, command, meanwhile, picks, pause)

    @rule(whose=WHOSE, meanwhile=MEANWHILE, picks=PICKS, pause=PAUSES)
    def start_trial(self, whose: str, meanwhile: str | None, picks: list[int], pause: int) -> None:
        """Start the trial of Plus through the gateway, if there is one and the organization has not had it."""
        self.change(whose, ChangeCommand(trial=True), meanwhile, picks, pause)

    def change(self, whose: str, command: ChangeCommand, meanwhile: str | None, picks: list[int], pause: int) -> None:
        self.plan_meanwhile(meanwhile, whose, picks)
        with suppress(GatewayError):
            change_plan(self.stage.gateway, self.stage.caller(whose), command)
        self.stage.line.forget()
        self.stage.wait(pause)

    def plan_meanwhile(self, what: str | None, whose: str, picks: list[int]) -> None:
        """Plan ``what`` to happen during the next call."""
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
        """Run some due jobs, or with ``late`` also jobs that are not due yet."""
        for pick in picks:
            waiting = self.runnable(self.stage.jobs() if late else self.stage.due())
            if waiting:
                self.plan_meanwhile(meanwhile, whose, also)
                self.do(waiting[pick % len(waiting)])
                self.stage.line.forget()

    def do(self, job: Job) -> None:
        """Run a job as the worker does. After a lost answer, the job runs again later."""
        before = len(self.stage.line.calls)
        try:
            self.stage.work(job)
        except StripeUnavailable:
            self.stage.put_back(job)
        if job.task == jobs.REFRESH:
            self.calls["refreshes"] += len(self.stage.line.calls) - before

    def runnable(self, waiting: list[Job]) -> list[Job]:
        """Return the jobs whose lock is free."""
        locked = {job.lock for job, _ in self.held}
        return [job for job in waiting if job.lock is None or job.lock not in locked]

    @rule(pick=st.integers(0, 5), meanwhile=MEANWHILE, whose=WHOSE, also=PICKS)
    def begin_a_refresh(self, pick: int, meanwhile: str | None, whose: str, also: list[int]) -> None:
        """Start a refresh whose worker stops after Stripe's answer."""
        refreshes = [job for job in self.runnable(self.stage.jobs()) if job.task == jobs.REFRESH]
        if refreshes:
            job = refreshes[pick % len(refreshes)]
            self.stage.start_job(job)
            self.plan_meanwhile(meanwhile if meanwhile != "lost" else None, whose, also)
            snapshot = retrieve(self.stage.gateway, job.args["kind"], job.args["stripe_id"])
            self.stage.line.forget()
            if snapshot is None:  # the object was deleted in between
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
        """Deliver the edits of one second in reverse, which requires a refresh, and let more happen during it."""
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
        """Let a stuck worker merge its answer, however many events have arrived since."""
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

    @precondition(lambda self: not self.loses)
    @rule(whose=WHOSE, how=st.sampled_from(["renew", "charge now", "pay"]))
    def charge(self, whose: str, how: str) -> None:
        """Let Stripe charge once all is known, and check that it charges the payment method shown."""
        self.settle()
        self.check_charges(whose, how)

    def check_charges(self, whose: str, how: str) -> None:
        shown = ShownMethods(self.stage, list(self.customers))
        rows = {row.subscription_id: row.organization_id for row in self.plan_rows()}
        plans = {key: name for key, name in rows.items() if key is not None}
        if how == "charge now" and (mine := [key for key, name in plans.items() if name == whose]):
            items = self.stage.retrieve(f"/v1/subscriptions/{mine[0]}")["items"]["data"]
            changed: Json = {"items": [{"id": items[0]["id"], "quantity": items[0].get("quantity", 1) + 1}]}
            self.stage.allowed(
                lambda: self.v1.subscriptions.update(mine[0], changed | {"proration_behavior": "always_invoice"})
            )
        elif how == "pay":
            for subscription in plans:
                for each in self.stage.read("/v1/invoices", subscription=subscription, status="open"):
                    self.stage.allowed(lambda invoice=each["id"]: self.v1.invoices.pay(invoice))  # type: ignore[misc]  # a default
        elif how == "renew":
            for days in (31, 2):  # with the first retry
                self.stage.wait(days * DAY)
        self.calls["charges"] += shown.check(plans)

    def plan_rows(self) -> list[OrganizationPlan]:
        with self.stage.gateway.database.transaction() as session:
            return list(session.scalars(select(OrganizationPlan)))

    def settle(self) -> None:
        """Deliver all events and run all jobs, in a random order."""
        for turn in count():
            self.listen()
            if not self.on_its_way:
                self.stage.drain()
            waiting = self.runnable(self.stage.jobs())
            assert turn < 3000, f"the machine never comes to rest, because of {waiting}"
            if not (self.on_its_way or waiting or self.held):
                break
            if turn > 300 and {job.task for job in waiting} <= POLLING and not (self.on_its_way or self.held):
                break
            if not (self.on_its_way or self.held):  # a job that always runs too early would return forever
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
