"""A change whose call to Stripe the gateway refuses, after the change was written."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import pytest
import stripe

from gateway.db.models import PlanChange
from gateway.errors import StripeUnavailable
from gateway.services import idempotency
from gateway.services.plan_changes.execute import finish_change
from gateway.services.plan_changes.request import change_plan
from gateway.services.runtime import Gateway
from gateway.stripe_api.breaker import PAUSE, Breaker
from gateway.stripe_api.client import stripe_client
from gateway.stripe_api.gate import PERSON_WAITS, Gate, Share
from schemas.changes import ChangeCommand
from tests.support.monotonic import MonotonicClock
from tests.support.world import CALLER, World

CLICK = replace(CALLER, idempotency_key="click-1")


@dataclass
class Delays:
    """Lets each call take so many seconds of the gate's clock, in the order of the calls."""

    clock: MonotonicClock
    seconds: list[float] = field(default_factory=list)

    def acquire(self) -> None:
        self.clock.now += self.seconds.pop(0) if self.seconds else 0

    def limited(self, tries: int) -> bool:  # noqa: ARG002 - the client calls it so
        return False


@dataclass
class Gated:
    """A gateway whose gate has a clock that only the test moves."""

    gateway: Gateway
    clock: MonotonicClock
    delays: Delays

    def open_breaker(self) -> None:
        for _ in range(5):
            with pytest.raises(stripe.APIConnectionError), self.gateway.gate.attempt():
                raise stripe.APIConnectionError("hung", should_retry=True)  # type: ignore[no-untyped-call]  # untyped in the SDK

    @contextmanager
    def request(self) -> Iterator[None]:
        """Run the block as a web request."""
        self.gateway.gate.begin_request()
        yield
        self.gateway.gate.end_request()


@pytest.fixture
def gated(world: World) -> Gated:
    clock = MonotonicClock()
    delays = Delays(clock)
    gate = Gate(Breaker(clock), Share(size=1, waiting=0, patience=0), clock)
    config = world.gateway.config
    client = stripe_client(config.stripe_secret_key, config.stripe_api_base, delays, gate)
    return Gated(replace(world.gateway, stripe=client, gate=gate), clock, delays)


def upgrades(world: World) -> list[tuple[str, str]]:
    """Return the id and the state of each upgrade, oldest first."""
    rows = sorted(world.rows(PlanChange), key=lambda row: row.created_at)
    return [(row.id, row.state) for row in rows if row.to_plan == "plus"]


def test_a_change_that_was_not_sent_ends_and_its_key_begins_another(world: World, gated: Gated) -> None:
    world.api().ok("POST", "/subscription", plan="free")
    world.api().add_card(world.stripe)
    gated.open_breaker()
    assert idempotency.claim_key(gated.gateway, CLICK, "click-1", "same") is None
    with pytest.raises(StripeUnavailable) as refused:
        change_plan(gated.gateway, CLICK, ChangeCommand(plan="plus"))
    [(first, state)] = upgrades(world)
    assert state == "failed"
    assert refused.value.headers["Location"].endswith(first)
    assert refused.value.headers["Retry-After"] == "5"
    idempotency.release_key(gated.gateway, CLICK)
    gated.clock.now += PAUSE
    assert idempotency.claim_key(gated.gateway, CLICK, "click-1", "same") is None
    assert change_plan(gated.gateway, CLICK, ChangeCommand(plan="plus")).state == "applied"
    finish_change(world.gateway, first)
    assert [state for _, state in upgrades(world)] == ["failed", "applied"]


def test_without_time_for_its_second_call_the_job_ends_it(world: World, gated: Gated) -> None:
    world.api().add_card(world.stripe)
    gated.delays.seconds = [0, PERSON_WAITS - 1]  # to look for a subscription, and to create one
    with gated.request():
        view = change_plan(gated.gateway, CALLER, ChangeCommand(plan="plus", enroll=True))
    assert view.state == "processing"
    assert world.plan_row().plan == "free"
    finish_change(world.gateway, view.id)
    assert [state for _, state in upgrades(world)] == ["applied"]
    assert world.plan_row().plan == "plus"


def test_a_request_that_is_refused_beforehand_writes_no_change(world: World, gated: Gated) -> None:
    world.api().ok("POST", "/subscription", plan="free")
    world.api().add_card(world.stripe)
    gated.open_breaker()
    with gated.request(), pytest.raises(StripeUnavailable):
        change_plan(gated.gateway, CALLER, ChangeCommand(plan="plus"))
    assert upgrades(world) == []
    gated.clock.now += PAUSE
    with gated.request():
        assert change_plan(gated.gateway, CALLER, ChangeCommand(plan="plus")).state == "applied"
