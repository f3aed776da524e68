"""All processes share one budget of Stripe calls. Background work never delays a user."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import text

from gateway.app import build_gateway
from gateway.db.models import StripeBudget, Subscription
from gateway.db.session import Database
from gateway.errors import StripeUnavailable
from gateway.sandbox import Sandbox
from gateway.services.mirror.refresh import run_refresh_job
from gateway.services.rate_limits import stripe_budget
from gateway.services.rate_limits.stripe_budget import Budget, Priority, calling_as
from gateway.services.reconciliation import drift, gap
from gateway.services.runtime import Gateway
from handlers import HANDLERS
from tests.support.faults import list_faults, request_fault
from tests.support.jobs import job_states
from tests.support.plans import on_plus
from tests.support.reconciliation import walk_gap
from tests.support.world import World

FAST = 50  # calls a second


def seconds_for(own: Budget, priority: Priority, calls: int) -> float:
    started = time.monotonic()
    with calling_as(priority):
        for _ in range(calls):
            own.acquire()
    return time.monotonic() - started


def fresh(world: World) -> Budget:
    """Return an unused budget."""
    with world.gateway.database.transaction() as session:
        session.execute(text("DELETE FROM stripe_budget"))
    return Budget(world.gateway.database, FAST)


def row(world: World) -> StripeBudget:
    return world.rows(StripeBudget)[0]


def test_all_processes_together_keep_the_rate(world: World) -> None:
    processes = [Database(world.gateway.config.database_url) for _ in range(2)]
    started = time.monotonic()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda each: seconds_for(Budget(each, FAST), Priority.RECONCILIATION, 15), processes))
    assert time.monotonic() - started > 29 / FAST
    for each in processes:
        each.close()


def test_users_never_wait_but_their_calls_use_the_budget(world: World) -> None:
    own = Budget(world.gateway.database, 10)
    fresh(world)
    with world.gateway.database.transaction() as session:
        begun = session.scalars(text("SELECT clock_timestamp()")).one()
    assert seconds_for(own, Priority.USER, 40) < 4
    assert row(world).used_until >= begun + timedelta(seconds=4)


def test_refreshes_go_before_reconciliation(world: World) -> None:
    waited = {}
    for priority in (Priority.REFRESH, Priority.RECONCILIATION):
        own = fresh(world)
        own.acquire()
        started = time.monotonic()
        with world.gateway.database.transaction() as session:
            session.execute(text("UPDATE stripe_budget SET used_until = clock_timestamp() + interval '0.5 seconds'"))
        seconds_for(own, priority, 1)
        waited[priority] = time.monotonic() - started
    assert waited[Priority.REFRESH] < waited[Priority.RECONCILIATION]
    assert waited[Priority.RECONCILIATION] >= 0.5


def test_walk_waits_after_a_429_and_finishes(world: World, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stripe_budget, "FIRST_PAUSE", timedelta(seconds=0.2))
    on_plus(world)
    world.settle()
    request_fault(sandbox.url, kind="rate_limit", path="/v1/events", times=3)
    started = time.monotonic()
    assert walk_gap(world).finished
    assert time.monotonic() - started > (0.2 + 0.4 + 0.8) / 2
    assert [fault["left"] for fault in list_faults(sandbox.url)] == [0]
    assert row(world).strikes == 3


def test_pause_serves_users_and_postpones_refreshes(world: World) -> None:
    on_plus(world)
    world.settle()
    world.gateway.stripe.v1.customers.list()  # creates the row
    with world.gateway.database.transaction() as session:
        session.execute(text("UPDATE stripe_budget SET paused_until = clock_timestamp() + interval '20 seconds'"))
    started = time.monotonic()
    world.api().ok("PATCH", "/subscription", quantity=3)
    run_refresh_job(world.gateway, "subscription", world.rows(Subscription)[0].id, 1)
    assert time.monotonic() - started < 5
    assert job_states(world, "gateway.refresh").count("todo") == 1


def test_users_429_is_answered_immediately_and_pauses_walks(world: World, sandbox: Sandbox) -> None:
    other = build_gateway(world.gateway.config)
    request_fault(sandbox.url, kind="rate_limit", path="/v1/customers")
    started = time.monotonic()
    assert world.api().problem("POST", "/subscription", plan="free") == (503, "stripe_unavailable")
    paused_until = row(world).paused_until
    assert paused_until is not None
    next(gap.walk(other, HANDLERS.keys()))
    assert time.monotonic() - started > 0.5
    other.database.close()


def test_pauses_grow_with_successive_429s_and_reset_later(world: World) -> None:
    own = fresh(world)
    for strikes in (1, 2, 3):
        own.limited(1)
        own.limited(1)  # another call was refused at the same time, which is no second strike
        assert row(world).strikes == strikes
        with world.gateway.database.transaction() as session:
            session.execute(text("UPDATE stripe_budget SET paused_until = clock_timestamp() - interval '1 second'"))
    with world.gateway.database.transaction() as session:
        session.execute(text("UPDATE stripe_budget SET paused_until = clock_timestamp() - interval '1 hour'"))
    own.limited(1)
    assert row(world).strikes == 1


def test_endless_429s_end_the_walk_and_it_can_be_resumed(
    world: World, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stripe_budget, "FIRST_PAUSE", timedelta(seconds=0.01))
    monkeypatch.setattr(stripe_budget, "LONGEST_PAUSE", timedelta(seconds=0.05))
    request_fault(sandbox.url, kind="rate_limit", path="/v1/events", times=stripe_budget.MAX_TRIES)
    with pytest.raises(StripeUnavailable):
        walk_gap(world)
    assert walk_gap(world).finished


@pytest.mark.parametrize("walk", [lambda gateway: gap.walk(gateway, HANDLERS.keys()), drift.walk], ids=["gap", "drift"])
def test_walk_waits_while_users_have_overdrawn_the_budget(
    world: World, walk: Callable[[Gateway], Iterator[object]]
) -> None:
    world.settle()
    fresh(world).acquire()
    started = time.monotonic()
    with world.gateway.database.transaction() as session:
        session.execute(text("UPDATE stripe_budget SET used_until = clock_timestamp() + interval '1 second'"))
    next(walk(world.gateway))
    assert time.monotonic() - started >= 1
