"""A poison event is retried with backoff, becomes dead and can be replayed. It delays no other event."""

import orjson

from gateway.services.webhooks.drain import BATCH, MAX_ATTEMPTS
from gateway.services.webhooks.wakeup import defer_drain
from tests.faults.merged import assert_merged_once, one_event_each, pending, store
from tests.support.bulk_events import id_of
from tests.support.deployment import Deployment
from tests.support.wait import eventually

POISON = """
    SELECT state, attempts, next_attempt_at >= received_at + interval '2 s', error FROM webhook_events WHERE id = %s
"""


def test_poison_event_backs_off_then_dies_and_a_replay_revives_it(
    own: Deployment,
) -> None:
    deliveries = one_event_each(own, BATCH + 50)
    poison = deliveries[BATCH // 2]
    quantity = orjson.loads(poison.partition(b"\r\n\r\n")[2])["data"]["object"]["quantity"]
    own.rows(f"ALTER TABLE plan_history ADD CONSTRAINT bug CHECK (after ->> 'quantity' <> '{quantity}')")
    store(own, deliveries)
    own.work()
    defer_drain(own.gateway.database)
    eventually(lambda: pending(own) == 1)  # every other event is done
    state, attempts, waits, error = own.rows(POISON, id_of(poison))[0]
    while state != "dead":
        assert state == "failed"
        assert waits
        assert "bug" in error
        own.rows("UPDATE webhook_events SET next_attempt_at = now() WHERE state = 'failed'")  # end the backoff early
        defer_drain(own.gateway.database)
        eventually(lambda: own.rows(POISON, id_of(poison))[0][1] > attempts)  # noqa: B023 - called before the next iteration
        state, attempts, waits, error = own.rows(POISON, id_of(poison))[0]
    assert attempts == MAX_ATTEMPTS
    assert id_of(poison) in own.command("events", "list", "--state", "dead").stdout

    own.rows("ALTER TABLE plan_history DROP CONSTRAINT bug")
    replayed = own.command("events", "replay", "--state", "dead")
    assert (replayed.returncode, replayed.stdout) == (0, "1 will be processed again.\n")
    eventually(lambda: own.states(id_of(poison)) == ["done"])
    assert_merged_once(own, deliveries)
