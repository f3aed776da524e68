"""Rows of the job queue."""

from procrastinate.jobs import Status
from sqlalchemy import text

from tests.support.world import World


def job_states(world: World, task: str) -> list[str]:
    query = text("SELECT status::text FROM procrastinate_jobs WHERE task_name = :task ORDER BY id")
    with world.gateway.database.transaction() as session:
        return list(session.scalars(query, {"task": task}))


def set_job_state(world: World, task: str, state: Status) -> None:
    """As a worker that was killed leaves it."""
    with world.gateway.database.transaction() as session:
        session.execute(
            text(
                "UPDATE procrastinate_jobs SET status = cast(:state AS procrastinate_job_status)"
                " WHERE task_name = :task"
            ),
            {"state": state.value, "task": task},
        )
