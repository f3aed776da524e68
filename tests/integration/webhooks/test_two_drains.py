"""Several workers share one inbox. They skip each other's locked events and apply each event once."""

import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta

import orjson
import pytest
from sqlalchemy import insert, select, text, update

from gateway.db.models import Organization, WebhookEvent
from gateway.services.mirror.locks import lock_organizations
from gateway.services.webhooks import drain
from gateway.services.webhooks.inbox import Inbox, build_row
from gateway.stripe_api.snapshots import Event, Reference, Snapshot
from handlers import HANDLERS
from tests.support.stripe_events import deliver, event
from tests.support.wait import eventually
from tests.support.world import World

MANY = 60


class Counting:
    """Counts ``customer.updated`` events. The first event of each drain waits until the other drains have one too."""

    def __init__(self, drains: int) -> None:
        self.seen: Counter[str] = Counter()
        self.drains: set[int] = set()
        self._all_at_work = threading.Barrier(drains, timeout=10)

    def __call__(self, event: Event) -> Sequence[Snapshot]:
        self.seen[event.id] += 1
        thread = threading.get_ident()
        if thread not in self.drains:
            self.drains.add(thread)
            self._all_at_work.wait()
        return []


def send(world: World, count: int) -> list[str]:
    """Deliver events whose due times follow their order. Return their ids."""
    ids = [f"evt_test_{number:03d}" for number in range(count)]
    for event_id in ids:
        assert deliver(world, orjson.dumps(event(id=event_id, type="customer.updated"))).status_code == 200
    with world.gateway.database.transaction() as session:
        for age, event_id in enumerate(reversed(ids)):
            due = world.gateway.clock() - timedelta(seconds=1 + age)
            session.execute(update(WebhookEvent).where(WebhookEvent.id == event_id).values(next_attempt_at=due))
    return ids


def states(world: World) -> Counter[str]:
    return Counter(row.state for row in world.rows(WebhookEvent) if row.id.startswith("evt_test"))


@pytest.fixture
def quiet(world: World) -> World:
    """Process all of Stripe's own events first."""
    world.settle()
    return world


def test_two_drains_share_the_events_and_apply_each_once(quiet: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drain, "BATCH", 10)
    ids = send(quiet, MANY)
    handler = Counting(drains=2)
    with ThreadPoolExecutor(2) as workers:
        draining = [workers.submit(drain.drain_inbox, quiet.gateway, {"customer.updated": handler}) for _ in range(2)]
        done = [each.result(timeout=30) for each in draining]
    assert handler.seen == dict.fromkeys(ids, 1)
    assert sum(done) == MANY
    assert min(done) >= 10  # the barrier gave both a batch at the same time
    assert states(quiet) == {"ignored": MANY}


def test_drain_skips_events_that_another_has_locked(quiet: World) -> None:
    send(quiet, 3)
    with ThreadPoolExecutor(1) as other:
        with quiet.gateway.database.transaction() as session:
            session.execute(select(WebhookEvent).where(WebhookEvent.id == "evt_test_000").with_for_update())
            assert other.submit(drain.drain_inbox, quiet.gateway, {}).result(timeout=5) == 2
        assert states(quiet) == {"ignored": 2, "pending": 1}
    assert drain.drain_inbox(quiet.gateway, {}) == 1


def test_failure_is_not_recorded_with_an_event_done_elsewhere(quiet: World) -> None:
    send(quiet, 1)
    drain.drain_inbox(quiet.gateway, {})
    with quiet.gateway.database.transaction() as session:
        drain.record_failure(session, "evt_test_000", RuntimeError("late"), quiet.gateway.clock())
    [row] = [row for row in quiet.rows(WebhookEvent) if row.id == "evt_test_000"]
    assert (row.state, row.attempts, row.error) == ("ignored", 0, None)


def test_event_that_has_waited_longest_is_claimed_first(quiet: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drain, "BATCH", 2)
    ids = send(quiet, 5)  # the table now stores the youngest first
    with quiet.gateway.database.transaction() as session:
        session.execute(text("SET LOCAL enable_indexscan = off"))  # its order happens to be the right one
        session.execute(text("SET LOCAL enable_bitmapscan = off"))
        assert [each.id for each in drain.claim_events(session, quiet.gateway.clock())] == ids[:2]


def test_concurrent_stores_lock_events_in_one_order(quiet: World) -> None:
    now = quiet.gateway.clock()
    rows = {each: build_row(quiet.gateway, orjson.dumps(event(id=f"evt_test_{each}")), now) for each in "abc"}
    with closing(Inbox(quiet.gateway, HANDLERS)) as inbox, ThreadPoolExecutor(1) as other:
        with quiet.gateway.database.transaction() as session:
            session.execute(insert(WebhookEvent).values(rows["b"]._asdict()))
            storing = other.submit(inbox._store, [rows[each] for each in "cba"])  # noqa: SLF001 - one commit of three
            eventually(lambda: quiet.blocked() == 1)
            session.execute(
                insert(WebhookEvent).values(rows["c"]._asdict())
            )  # the other has locked a, waits for b and has not reached c
        storing.result(timeout=10)
    assert states(quiet) == {"pending": 3}


def test_concurrent_merges_lock_organizations_in_one_order(quiet: World) -> None:
    with quiet.gateway.database.transaction() as session:
        for name in ("c", "b", "a"):  # the table stores them in this order
            session.add(Organization(id=name, stripe_customer_id=f"cus_{name}", created_at=quiet.gateway.clock()))
            session.flush()
    wanted = [Reference(kind="customer", id=f"cus_{name}", owner=f"cus_{name}", as_of=None) for name in "cba"]

    def lock_all() -> None:
        with quiet.gateway.database.transaction() as session:
            lock_organizations(session, wanted, [])

    free = text("SELECT id FROM organizations ORDER BY id FOR UPDATE SKIP LOCKED")
    with ThreadPoolExecutor(1) as other:
        with quiet.gateway.database.transaction() as session:
            session.get_one(Organization, "b", with_for_update=True)
            locking = other.submit(lock_all)
            eventually(lambda: quiet.blocked() == 1)
            with quiet.gateway.database.transaction() as looking:
                assert list(looking.scalars(free)) == ["c"]  # the other has locked a, waits for b and has not reached c
        locking.result(timeout=10)
