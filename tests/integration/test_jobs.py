"""Jobs are rows of the same database: they come and go with the transaction that asks for them."""

from sqlalchemy import text
from sqlalchemy.orm import Session

from gateway.db import jobs
from tests.integration.support import World


def waiting(session: Session) -> int:
    """How many refresh jobs there are."""
    query = text("SELECT count(*) FROM procrastinate_jobs WHERE task_name = :task AND status = 'todo'")
    return int(session.scalar(query, {"task": jobs.REFRESH}) or 0)


def ask(session: Session) -> bool:
    return jobs.defer(session, jobs.REFRESH, {"kind": "customer", "stripe_id": "x"}, queueing_lock="refresh:x")


def test_a_job_is_gone_with_a_rollback(world: World) -> None:
    with world.gateway.database.transaction() as session:
        assert ask(session)
        session.rollback()
    with world.gateway.database.transaction() as session:
        assert waiting(session) == 0


def test_a_second_request_folds_into_the_waiting_job_and_spares_the_transaction(world: World) -> None:
    with world.gateway.database.transaction() as session:
        assert ask(session)
    with world.gateway.database.transaction() as session:
        assert not ask(session)
        assert waiting(session) == 1  # the transaction still works
