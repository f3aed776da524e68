"""No organization gets a second trial, whatever it and others do, in any order and at the same moment."""

import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.db.models import Organization
from gateway.errors import GatewayError
from gateway.services.customers.customer import create_customer, lock_organization
from gateway.services.plan_changes.confirm import confirm_change
from gateway.services.plan_changes.longer_trial import extend_trial
from gateway.services.runtime import Caller
from schemas.changes import ChangeCommand
from tests.support.accounts import make_customer, show_in_search
from tests.support.catalogs import write_catalog
from tests.support.world import World


@dataclass
class Seeker:
    """An organization that wants as many trials as it can get."""

    world: World
    organization_id: str
    is_adopted: bool = False

    @property
    def customer_id(self) -> str | None:
        with self.world.gateway.database.transaction() as session:
            found = session.get(Organization, self.organization_id)
            return found.stripe_customer_id if found is not None else None

    def enrol(self, **body: Any) -> None:
        self.world.api(self.organization_id)("POST", "/subscription", **body)

    def enrol_on_free(self) -> None:
        self.enrol(plan="free")

    def start(self) -> None:
        self.enrol(trial=True)

    def cancel(self) -> None:
        self.world.api(self.organization_id)("DELETE", "/subscription")

    def race(self) -> None:
        """Send two requests that each start the trial at the same moment."""

        def send(command: ChangeCommand) -> None:
            with suppress(GatewayError):
                confirm_change(self.world.gateway, Caller(organization_id=self.organization_id, actor="test"), command)

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(send, [ChangeCommand(enroll=True), ChangeCommand(enroll=True, trial=True)]))

    def lapse(self) -> None:
        """End the subscription, as Stripe ends a trial without a card."""
        if self.customer_id is not None:
            for each in self.world.stripe.v1.subscriptions.list({"customer": self.customer_id}).data:
                self.world.stripe.v1.subscriptions.cancel(each.id)
        self.world.settle()

    def get_another_customer(self) -> None:
        """Make a customer as another program does. It is adopted if the organization has none."""
        self.is_adopted |= self.customer_id is None
        make_customer(self.world, self.organization_id)
        self.world.settle()

    def extend(self) -> None:
        """Let an operator move the end of the trial, if there is one."""
        until = self.world.gateway.clock() + timedelta(days=60)
        with suppress(GatewayError):
            extend_trial(self.world.gateway, self.organization_id, until=until, reason="test", operator="ada")

    def delete_customer(self) -> None:
        if self.customer_id is not None:
            with suppress(Exception):  # it is deleted already
                self.world.stripe.v1.customers.delete(self.customer_id)
        self.world.settle()

    def count_trials(self) -> int:
        """Return how often Stripe began a trial of the organization."""
        updates: Any = self.world.stripe.v1.events.list({"type": "customer.subscription.updated", "limit": 100})
        found = [each.data.to_dict(for_json=True) for each in updates.auto_paging_iter()]
        begun = [
            each["object"]
            for each in found
            if each["object"]["status"] == "trialing" and "status" in each["previous_attributes"]
        ]
        return sum(each["metadata"].get("organization_id") == self.organization_id for each in begun)


ACTIONS: list[Callable[[Seeker], None]] = [
    Seeker.enrol,
    Seeker.enrol_on_free,
    Seeker.start,
    Seeker.cancel,
    Seeker.race,
    Seeker.lapse,
    Seeker.get_another_customer,
    Seeker.delete_customer,
    Seeker.extend,
]


@pytest.fixture
def catalog_file(tmp_path: Path) -> Path:
    return write_catalog(tmp_path / "catalog.toml", trial_days=30)


@pytest.mark.parametrize("examples", [2, pytest.param(100, marks=pytest.mark.long)])
def test_no_order_of_events_gives_a_second_trial(world: World, examples: int) -> None:
    show_in_search(world)

    @settings(max_examples=examples, suppress_health_check=[HealthCheck.too_slow])
    @given(st.lists(st.sampled_from(ACTIONS), min_size=3, max_size=7))
    def play(actions: list[Callable[[Seeker], None]]) -> None:
        seeker = Seeker(world, f"org_{uuid.uuid4().hex}")
        for act in actions:
            act(seeker)
        assert seeker.count_trials() <= (0 if seeker.is_adopted else 1)

    play()


def test_concurrent_enrolments_start_one_trial(world: World) -> None:
    seeker = Seeker(world, "org_1")
    seeker.race()
    assert seeker.count_trials() == 1
    seeker.lapse()
    seeker.race()
    assert seeker.count_trials() == 1


def test_enrolment_after_the_death_of_another_starts_the_trial(world: World) -> None:
    world.fault("webhook_dropped", times=1000)
    seeker = Seeker(world, "org_1")
    with world.gateway.database.transaction() as session:
        caller = Caller(organization_id=seeker.organization_id, actor="test")
        organization = lock_organization(session, caller, world.gateway.clock())
        organization.customer_key_since = world.gateway.clock()
    create_customer(world.gateway, organization)  # the process dies before it merges the answer
    seeker.enrol()
    assert seeker.count_trials() == 1
