"""Several workers share one inbox: none waits for another, none takes what another has, each event is applied once."""

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
from gateway.services.webhooks.inbox import Inbox, row_of
from gateway.stripe_api.snapshots import Event, Reference, Snapshot
from handlers import HANDLERS
from tests.integration.support import World, eventually
from tests.integration.test_webhook_ingress import deliver, event

MANY = 60


class Counting:
    """A handler for ``topup.created`` that counts its events, and waits for another one in the first of each drain."""

    def __init__(self, drains: int) -> None:
        self.seen: Counter[str] = Counter()
        self.drains: set[int] = set()
        self._all_at_work = threading.Barrier(drains, timeout=10)

    def __call__(self, told: Event) -> Sequence[Snapshot]:
        self.seen[told.id] += 1
        mine = threading.get_ident()
        if mine not in self.drains:
            self.drains.add(mine)
            self._all_at_work.wait()
        return []


def send(world: World, count: int) -> list[str]:
    """Into the inbox, the first one due first."""
    ids = [f"evt_test_{number:03d}" for number in range(count)]
    for event_id in ids:
        assert deliver(world, orjson.dumps(event(id=event_id, type="topup.created"))).status_code == 200
    with world.gateway.database.transaction() as session:
        for age, event_id in enumerate(reversed(ids)):
            due = world.gateway.clock() - timedelta(seconds=1 + age)
            session.execute(update(WebhookEvent).where(WebhookEvent.id == event_id).values(next_attempt_at=due))
    return ids


def states(world: World) -> Counter[str]:
    return Counter(row.state for row in world.rows(WebhookEvent) if row.id.startswith("evt_test"))


@pytest.fixture
def quiet(world: World) -> World:
    """Without events of Stripe's in the inbox."""
    world.settle()
    return world


def test_two_drains_at_once_share_the_events_and_apply_each_once(quiet: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drain, "BATCH", 10)
    ids = send(quiet, MANY)
    handler = Counting(drains=2)
    with ThreadPoolExecutor(2) as workers:
        draining = [workers.submit(drain.drain, quiet.gateway, {"topup.created": handler}) for _ in range(2)]
        done = [each.result(timeout=30) for each in draining]
    assert handler.seen == dict.fromkeys(ids, 1)
    assert sum(done) == MANY
    assert min(done) >= 10  # the barrier: both had a batch at the same time
    assert states(quiet) == {"ignored": MANY}


def test_a_drain_does_not_wait_for_events_that_another_holds_and_takes_the_others(quiet: World) -> None:
    send(quiet, 3)
    with ThreadPoolExecutor(1) as other:
        with quiet.gateway.database.transaction() as session:
            session.execute(select(WebhookEvent).where(WebhookEvent.id == "evt_test_000").with_for_update())
            assert other.submit(drain.drain, quiet.gateway, {}).result(timeout=5) == 2
        assert states(quiet) == {"ignored": 2, "pending": 1}
    assert drain.drain(quiet.gateway, {}) == 1


def test_a_failure_is_not_recorded_with_an_event_that_another_has_done_meanwhile(quiet: World) -> None:
    send(quiet, 1)
    drain.drain(quiet.gateway, {})
    with quiet.gateway.database.transaction() as session:
        drain.record_failure(session, "evt_test_000", RuntimeError("late"), quiet.gateway.clock())
    [row] = [row for row in quiet.rows(WebhookEvent) if row.id == "evt_test_000"]
    assert (row.state, row.attempts, row.error) == ("ignored", 0, None)


def test_what_has_waited_longest_is_taken_first(quiet: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drain, "BATCH", 2)
    ids = send(quiet, 5)  # written with the youngest first, and so it lies in the table
    with quiet.gateway.database.transaction() as session:
        session.execute(text("SET LOCAL enable_indexscan = off"))  # which happens to be in the order wanted
        session.execute(text("SET LOCAL enable_bitmapscan = off"))
        assert [each.id for each in drain.claim(session, quiet.gateway.clock())] == ids[:2]


def test_two_that_store_the_same_events_take_them_in_the_same_order(quiet: World) -> None:
    now = quiet.gateway.clock()
    rows = {each: row_of(quiet.gateway, orjson.dumps(event(id=f"evt_test_{each}")), now) for each in "abc"}
    with closing(Inbox(quiet.gateway, HANDLERS)) as inbox, ThreadPoolExecutor(1) as other:
        with quiet.gateway.database.transaction() as session:
            session.execute(insert(WebhookEvent).values(rows["b"]._asdict()))
            storing = other.submit(inbox._store, [rows[each] for each in "cba"])  # noqa: SLF001 - one commit of three
            eventually(lambda: quiet.blocked() == 1)
            session.execute(
                insert(WebhookEvent).values(rows["c"]._asdict())
            )  # it has a, waits for b, and has not come to c
        storing.result(timeout=10)
    assert states(quiet) == {"pending": 3}


def test_two_that_want_the_same_organizations_take_them_in_the_same_order(quiet: World) -> None:
    with quiet.gateway.database.transaction() as session:
        for name in ("c", "b", "a"):  # as they lie in the table
            session.add(Organization(id=name, stripe_customer_id=f"cus_{name}", created_at=quiet.gateway.clock()))
            session.flush()
    told = [Reference(kind="customer", id=f"cus_{name}", owner=f"cus_{name}", as_of=None) for name in "cba"]

    def lock_all() -> None:
        with quiet.gateway.database.transaction() as session:
            lock_organizations(session, told, [])

    free = text("SELECT id FROM organizations ORDER BY id FOR UPDATE SKIP LOCKED")
    with ThreadPoolExecutor(1) as other:
        with quiet.gateway.database.transaction() as session:
            session.get_one(Organization, "b", with_for_update=True)
            locking = other.submit(lock_all)
            eventually(lambda: quiet.blocked() == 1)
            with quiet.gateway.database.transaction() as looking:
                assert list(looking.scalars(free)) == ["c"]  # it has a, waits for b, and has not come to c
        locking.result(timeout=10)
