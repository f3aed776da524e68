"""``gateway jobs`` shows the background jobs that failed, and runs them again."""

import json

import click

from gateway.commands.loading import load_migrated_gateway
from gateway.services.operations.failed_jobs import FailedJob, find_failed_jobs, retry_failed_jobs


@click.group()
def jobs() -> None:
    """Show background jobs that failed, and run them again."""


@jobs.command("list")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
def list_failed(limit: int) -> None:
    """List the newest failed jobs, newest first."""
    found = find_failed_jobs(load_migrated_gateway(), limit)
    for job in found:
        click.echo(format_row(job))
    if not found:
        click.echo("No failed jobs.", err=True)


@jobs.command("retry")
@click.argument("job_ids", type=click.IntRange(1, 2**63 - 1), nargs=-1, required=True)
def run_again(job_ids: tuple[int, ...]) -> None:
    """Run failed jobs once more, all of them or none. A worker takes them within seconds."""
    retry_failed_jobs(load_migrated_gateway(), job_ids)
    click.echo(f"{len(job_ids)} will run again.")


def format_row(job: FailedJob) -> str:
    """Return the job as one row."""
    failed_at = f"{job.failed_at:%Y-%m-%d %H:%M:%S}" if job.failed_at is not None else "-"
    return f"{failed_at:19}  {job.id:>8}  {job.task}  {json.dumps(job.arguments)}  {job.attempts} attempts"
