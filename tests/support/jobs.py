"""Reads and changes the states of queued jobs."""

from procrastinate.jobs import Status
from sqlalchemy import text

from tests.support.world import World


def job_states(world: World, task: str) -> list[str]:
    query = text("SELECT status::text FROM procrastinate_jobs WHERE task_name = :task ORDER BY id")
    with world.gateway.database.transaction() as session:
        return list(session.scalars(query, {"task": task}))


def set_job_state(world: World, task: str, state: Status) -> None:
    """Set the state of a task's jobs, for example to the one that a killed worker leaves behind."""
    with world.gateway.database.transaction() as session:
        session.execute(
            text(
                "UPDATE procrastinate_jobs SET status = cast(:state AS procrastinate_job_status)"
                " WHERE task_name = :task"
            ),
            {"state": state.value, "task": task},
        )


def run_delayed_jobs(world: World) -> None:
    """Make the delayed jobs due, such as lookups, and run them."""
    with world.gateway.database.transaction() as session:
        session.execute(text("UPDATE procrastinate_jobs SET scheduled_at = now() WHERE scheduled_at IS NOT NULL"))
    world.work()


def make_due(world: World, task: str) -> None:
    """Let the task's waiting jobs be due now."""
    with world.gateway.database.transaction() as session:
        session.execute(
            text("UPDATE procrastinate_jobs SET scheduled_at = now() WHERE task_name = :task"), {"task": task}
        )
