"""Jobs are rows of the same database, so a rollback removes the jobs of its transaction."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from gateway.db import jobs
from tests.support.wait import eventually
from tests.support.world import World


def waiting(session: Session) -> int:
    """Return how many refresh jobs wait."""
    query = text("SELECT count(*) FROM procrastinate_jobs WHERE task_name = :task AND status = 'todo'")
    return int(session.scalar(query, {"task": jobs.REFRESH}) or 0)


def defer_one(session: Session) -> bool:
    return jobs.defer(session, jobs.REFRESH, {"kind": "customer", "stripe_id": "x"}, queueing_lock="refresh:x")


def test_rollback_removes_the_job(world: World) -> None:
    with world.gateway.database.transaction() as session:
        assert defer_one(session)
        session.rollback()
    with world.gateway.database.transaction() as session:
        assert waiting(session) == 0


def test_second_request_merges_into_the_waiting_job(world: World) -> None:
    with world.gateway.database.transaction() as session:
        assert defer_one(session)
    with world.gateway.database.transaction() as session:
        assert not defer_one(session)
        assert waiting(session) == 1  # the transaction still works


def wanted(name: str, at: datetime | None = None) -> jobs.Wanted:
    lock = f"refresh:{name}"
    return jobs.Wanted(lock, jobs.REFRESH, {"kind": "customer", "stripe_id": name}, lock=lock, at=at)


def enqueued(world: World) -> list[tuple[str, str, str, datetime | None]]:
    """Return the locks, the object's id and the time of each refresh job."""
    query = text(
        "SELECT queueing_lock, lock, args ->> 'stripe_id', scheduled_at FROM procrastinate_jobs"
        " WHERE task_name = :task ORDER BY id"
    )
    with world.gateway.database.transaction() as session:
        return [tuple(row) for row in session.execute(query, {"task": jobs.REFRESH})]


def test_jobs_keep_locks_and_times_and_merge_into_waiting_ones(world: World) -> None:
    later = datetime(2030, 1, 1, tzinfo=UTC)
    with world.gateway.database.transaction() as session:
        jobs.defer_all(session, [])
        jobs.defer_all(session, [wanted("b")])
    with world.gateway.database.transaction() as session:
        jobs.defer_all(session, [wanted("c", later), wanted("b", later), wanted("a")])
    assert enqueued(world) == [
        ("refresh:b", "refresh:b", "b", None),
        ("refresh:a", "refresh:a", "a", None),
        ("refresh:c", "refresh:c", "c", later),
    ]


@pytest.mark.parametrize("batches", [1, 2])
@pytest.mark.parametrize(("first", "second"), [(3600, None), (3600, 60), (60, 3600), (None, 3600)])
def test_earlier_of_two_requests_wins(world: World, batches: int, first: int | None, second: int | None) -> None:
    start = datetime.now(UTC).replace(microsecond=0)
    times = [None if each is None else start + timedelta(seconds=each) for each in (first, second)]
    with world.gateway.database.transaction() as session:
        if batches == 1:
            jobs.defer_all(session, [wanted("a", at) for at in times])
        for at in times if batches == 2 else ():
            jobs.defer_all(session, [wanted("a", at)])
    earliest = None if None in times else min(filter(None, times))
    assert [at for *_, at in enqueued(world)] == [earliest]


def test_earlier_request_wins_against_one_that_commits_meanwhile(world: World) -> None:
    with ThreadPoolExecutor(1) as other:
        with world.gateway.database.transaction() as session:
            jobs.defer_all(session, [wanted("a", datetime.now(UTC) + timedelta(hours=1))])

            def defer_now() -> None:
                with world.gateway.database.transaction() as theirs:
                    jobs.defer_all(theirs, [wanted("a")])

            deferring = other.submit(defer_now)
            eventually(lambda: world.blocked() == 1)
        deferring.result(timeout=10)
    assert [at for *_, at in enqueued(world)] == [None]


def test_opposite_enqueuing_orders_do_not_deadlock(world: World) -> None:
    with ThreadPoolExecutor(1) as other:
        with world.gateway.database.transaction() as session:
            jobs.defer_all(session, [wanted("b")])

            def defer_reversed() -> None:
                with world.gateway.database.transaction() as theirs:
                    jobs.defer_all(theirs, [wanted("d"), wanted("c"), wanted("b"), wanted("a")])

            deferring = other.submit(defer_reversed)
            eventually(lambda: world.blocked() == 1)
            jobs.defer_all(session, [wanted("c")])
        deferring.result(timeout=10)
    assert sorted(job for _, _, job, _ in enqueued(world)) == ["a", "b", "c", "d"]
