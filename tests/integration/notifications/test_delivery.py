"""Each notification arrives at least once, signed, in order by organization, and under one id."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import select, text, update

from gateway.db.models import Notification, Organization, ReceiverState
from gateway.services.notifications.delivery import PAUSE_AFTER, record_attempt
from gateway.services.notifications.outbox import Fact, enqueue
from gateway.services.notifications.records import GIVEN_UP, WAITING, replay, state_of
from gateway.services.operations.doctor import check_receiver
from gateway.services.operations.retention import prune
from gateway.services.operations.status import load_status
from tests.support.metrics import scrape
from tests.support.notified import OLD_SECRET, NotifiedSystem, another_world, make_due, notify
from tests.support.wait import eventually
from tests.support.world import World

PAUSED = 'gateway_receiver_paused{receiver="konnect"}'


@pytest.fixture
def world(world: World) -> World:
    """Create three organizations."""
    with world.gateway.database.transaction() as session:
        now = world.gateway.clock()
        session.add_all(Organization(id=f"org_{number}", created_at=now) for number in (1, 2, 3))
    return world


def tell(world: World, number: int, organization_id: str = "org_1") -> None:
    with world.gateway.database.transaction() as session:
        enqueue(session, Fact(organization_id, "usage.alert", {"number": number}), world.gateway.clock())


def received(konnect: NotifiedSystem) -> list[int]:
    return [message["data"]["number"] for message in konnect.messages()]


def change(world: World, **values: object) -> None:
    with world.gateway.database.transaction() as session:
        session.execute(update(Notification).values(values))


def age_failures(world: World, days: int) -> None:
    with world.gateway.database.transaction() as session:
        session.execute(update(ReceiverState).values(failing_since=world.gateway.clock() - timedelta(days=days)))


def end_pause(world: World) -> None:
    """Let the pause be over. Only one notification is due."""
    with world.gateway.database.transaction() as session:
        session.execute(update(ReceiverState).values(paused_until=world.gateway.clock()))
        later = update(Notification).where(Notification.data["number"].as_integer() > 0)
        session.execute(later.values(next_attempt_at=world.gateway.clock() + timedelta(hours=1)))


def test_both_secrets_sign_each_attempt(world: World, konnect: NotifiedSystem) -> None:
    tell(world, 1)
    notify(world)
    assert konnect.verified() == konnect.verified(OLD_SECRET) == konnect.messages()
    [row] = world.rows(Notification)
    assert (konnect.ids(), row.attempts, state_of(row)) == ([row.id], 1, "delivered")
    assert konnect.messages()[0]["type"] == "usage.alert"


def test_rolled_back_change_notifies_nobody(world: World, konnect: NotifiedSystem) -> None:
    with world.gateway.database.transaction() as session:
        enqueue(session, Fact("org_1", "usage.alert", {}), world.gateway.clock())
        session.rollback()
    notify(world)
    assert konnect.requests == []


def test_failure_delays_only_its_own_organization(world: World, konnect: NotifiedSystem) -> None:
    for number, organization_id in ((1, "org_1"), (2, "org_1"), (3, "org_2")):
        tell(world, number, organization_id)
    konnect.answers = [500]
    notify(world)
    assert received(konnect) == [1, 3]
    make_due(world)
    notify(world)
    assert received(konnect) == [1, 3, 1, 2]
    assert len(set(konnect.ids())) == 3


def test_receiver_that_fails_half_the_time_gets_all_in_order(world: World, konnect: NotifiedSystem) -> None:
    for number in range(12):
        tell(world, number, f"org_{number % 3 + 1}")
    konnect.answers = [200, 500, 503, 200, 429, 200, 500, 404, 200, 500] * 2
    accepted = [answer == 200 for answer in konnect.answers] + [True] * 100
    while any(state_of(row) == WAITING for row in world.rows(Notification)):
        notify(world)
        make_due(world)
    taken = [number for number, good in zip(received(konnect), accepted, strict=False) if good]
    assert sorted(taken) == list(range(12))
    for organization in range(3):
        assert [each for each in taken if each % 3 == organization] == list(range(organization, 12, 3))
    assert len(set(konnect.ids())) == 12


def test_failing_receiver_is_paused_named_and_resumed(world: World, konnect: NotifiedSystem) -> None:
    for number in range(PAUSE_AFTER):
        tell(world, number)
    konnect.answers = [500] * PAUSE_AFTER
    for _ in range(PAUSE_AFTER):
        change(world, next_attempt_at=world.gateway.clock())
        notify(world)
    change(world, next_attempt_at=world.gateway.clock())
    notify(world)
    assert received(konnect) == [0] * PAUSE_AFTER  # it is paused
    [report] = load_status(world.gateway).receivers
    finding = check_receiver(report)
    assert not finding.ok
    assert finding.text.startswith("receiver konnect: 5 notifications wait, 0 given up. It has failed since ")
    assert scrape(world.gateway)[PAUSED] == 1
    end_pause(world)
    notify(world)
    assert received(konnect)[PAUSE_AFTER:] == [0, 1, 2, 3, 4]
    [report] = load_status(world.gateway).receivers
    assert check_receiver(report).ok
    assert scrape(world.gateway)[PAUSED] == 0


def test_replay_in_a_pause_lets_all_waiting_ones_follow(world: World, konnect: NotifiedSystem) -> None:
    tell(world, 0)
    konnect.answers = [500] * PAUSE_AFTER
    for _ in range(PAUSE_AFTER):
        change(world, next_attempt_at=world.gateway.clock())
        notify(world)
    tell(world, 1, "org_2")
    change(world, next_attempt_at=world.gateway.clock() + timedelta(hours=1))
    replay(world.gateway, [world.rows(Notification)[0].id])
    notify(world)
    assert received(konnect)[PAUSE_AFTER:] == [0, 1]


def test_replay_and_an_attempt_lock_the_receiver_first(world: World, konnect: NotifiedSystem) -> None:
    tell(world, 0)
    konnect.answers = [500]
    notify(world)
    [row] = world.rows(Notification)
    attempts = (partial(replay, world.gateway, [row.id]), partial(record_attempt, world.gateway, row, None))
    for attempt in attempts:
        with ThreadPoolExecutor() as pool, world.gateway.database.transaction() as session:
            session.scalars(select(ReceiverState).with_for_update()).one()
            done = pool.submit(attempt)
            eventually(lambda: world.blocked() == 1)
            session.scalars(select(Notification).with_for_update(nowait=True)).one()
            session.rollback()
            done.result()


def test_refused_notification_is_given_up_after_three_days(world: World, konnect: NotifiedSystem) -> None:
    tell(world, 1)
    tell(world, 2)
    change(world, retried_until=world.gateway.clock())
    konnect.answers = [400]
    notify(world)
    assert received(konnect) == [1, 2]
    [refused, _] = world.rows(Notification)
    assert (state_of(refused), refused.error) == (GIVEN_UP, "HTTP 400")
    assert not check_receiver(load_status(world.gateway).receivers[0]).ok
    replay(world.gateway, [refused.id])
    notify(world)
    assert received(konnect) == [1, 2, 1]
    assert konnect.ids()[0] == konnect.ids()[2]


def test_nothing_is_given_up_while_a_receiver_is_down(world: World, konnect: NotifiedSystem) -> None:
    tell(world, 1)
    konnect.answers = [500, 500]
    notify(world)
    change(world, retried_until=world.gateway.clock(), next_attempt_at=world.gateway.clock())
    age_failures(world, days=4)
    notify(world)
    assert [state_of(row) for row in world.rows(Notification)] == [WAITING]


def test_removed_receiver_is_reported(world: World) -> None:
    tell(world, 1)
    with another_world(world, replace(world.gateway.config, receivers=None)) as without:
        [report] = load_status(without.gateway).receivers
        finding = check_receiver(report)
    assert (finding.ok, "It is not configured" in finding.text) == (False, True)


def test_old_notifications_are_deleted_unless_they_wait(world: World) -> None:
    tell(world, 1)
    notify(world)
    tell(world, 2)
    with world.gateway.database.transaction() as session:
        session.execute(text("UPDATE notifications SET created_at = created_at - interval '31 days'"))
    prune(world.gateway)
    assert [row.data["number"] for row in world.rows(Notification)] == [2]
    with another_world(world, replace(world.gateway.config, receivers=None)) as without:
        prune(without.gateway)
    assert world.rows(Notification) == []
