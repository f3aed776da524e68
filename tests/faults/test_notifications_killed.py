"""SIGKILL hits the worker while it merges, and while it notifies a receiver that fails half the time."""

import random
from collections import defaultdict
from collections.abc import Iterator
from threading import Event

import pytest

from gateway.db import jobs
from gateway.services.webhooks.wakeup import defer_drain
from tests.faults.merged import kill_in_mid_drain, one_event_each, pending, store
from tests.support import bulk_events
from tests.support.deployment import Deployment
from tests.support.notified import NotifiedSystem, make_due, notified_system, write_receivers
from tests.support.wait import eventually

DELIVER = f"{jobs.DELIVER_NOTIFICATIONS}.konnect"
RETRY = "gateway.retry_stalled_jobs"
UNDELIVERED = "SELECT count(*) FROM notifications WHERE delivered_at IS NULL"


@pytest.fixture
def konnect(own: Deployment) -> Iterator[NotifiedSystem]:
    """Run a receiver that fails half the time, and pass it to the processes."""
    with notified_system() as found:
        found.answers = random.Random(16).choices([200, 500], k=100_000)  # noqa: S311 - not a secret
        file = write_receivers(own.logs / "receivers.toml", konnect=found.url)
        own.environment["GATEWAY_RECEIVERS"] = str(file)
        yield found


def kill_in_mid_delivery(stage: Deployment, konnect: NotifiedSystem) -> None:
    """Kill the worker between the receiver's acceptance and the record of it."""
    worker = stage.work()
    konnect.unblocked, konnect.blocking, before = Event(), True, len(konnect.requests)
    eventually(lambda: not deliver(stage) and len(konnect.requests) > before, 60, interval=0.2)
    worker.kill()
    konnect.blocking = False
    konnect.unblocked.set()


def deliver(stage: Deployment) -> bool:
    """Return whether all was delivered. Otherwise let time pass, so that all is due and a killed worker's jobs too."""
    if stage.number(UNDELIVERED) == 0:
        return True
    make_due(stage)
    stage.rows(
        "UPDATE procrastinate_workers SET last_heartbeat = now() - interval '1 hour'"
        " WHERE id < (SELECT max(id) FROM procrastinate_workers)"
    )
    with stage.gateway.database.transaction() as session:
        jobs.defer(session, RETRY, {"timestamp": 0}, queueing_lock=RETRY)
        jobs.defer(session, DELIVER, queueing_lock=DELIVER, lock=DELIVER)
    return False


@pytest.mark.long
@pytest.mark.parametrize(("organizations", "drains_killed", "deliveries_killed"), [(20, 0, 1), (500, 1, 5)])
def test_each_change_is_notified_in_order_under_one_id(
    own: Deployment, konnect: NotifiedSystem, organizations: int, drains_killed: int, deliveries_killed: int
) -> None:
    for deliveries in (one_event_each(own, organizations), bulk_events.requests(organizations, organizations)):
        store(own, deliveries)
        for _ in range(drains_killed):
            kill_in_mid_drain(own)
        worker = own.work()
        defer_drain(own.gateway.database)
        eventually(lambda: pending(own) == 0, 60)
        worker.kill()
    for _ in range(deliveries_killed):
        kill_in_mid_delivery(own, konnect)
    own.work()
    eventually(lambda: deliver(own), 600, interval=0.5)

    changes = own.rows("SELECT organization_id, version FROM plan_history")
    told = own.rows("SELECT organization_id, CAST(data ->> 'version' AS int), id FROM notifications")
    assert sorted(each[:2] for each in told) == sorted(changes)
    received = [(data["organization_id"], data["version"]) for data in (each["data"] for each in konnect.messages())]
    assert {(*each, id_) for each, id_ in zip(received, konnect.ids(), strict=True)} == set(told)
    versions = defaultdict[str, list[int]](list)
    for organization_id, version in received:
        versions[organization_id].append(version)
    assert [set(each) for each in versions.values()] == [{1, 2}] * organizations
    assert all(each == sorted(each) for each in versions.values())
    assert len(konnect.requests) > len(told) + deliveries_killed
