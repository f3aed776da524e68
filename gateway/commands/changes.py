"""``gateway changes`` shows plan changes."""

import json

import click

from gateway.commands.loading import load_migrated_gateway
from gateway.db.models import OPEN_STATES, PlanChange
from gateway.services.operations.inspection import list_changes, show_change


@click.group()
def changes() -> None:
    """Show plan changes with their history, events and jobs."""


@changes.command("list")
@click.option("--organization", help="Only the changes of this organization.")
@click.option("--state", "states", multiple=True, type=click.Choice([*OPEN_STATES, "applied", "failed", "abandoned"]))
@click.option("--mischarged", is_flag=True, help="Only those that Stripe charged otherwise than quoted.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
def list_newest(*, organization: str | None, states: tuple[str, ...], mischarged: bool, limit: int) -> None:
    """List the newest changes, newest first."""
    found = list_changes(load_migrated_gateway(), organization, states, limit, mischarged=mischarged)
    for change in found:
        click.echo(format_row(change))
    if not found:
        click.echo("No changes.", err=True)


@changes.command()
@click.argument("change_id")
def show(change_id: str) -> None:
    """Print one change with its history, events and unfinished jobs, as JSON."""
    click.echo(json.dumps(show_change(load_migrated_gateway(), change_id), indent=2, default=str))


def format_row(change: PlanChange) -> str:
    """Return the change as one row."""
    what = f"{change.organization_id}  {change.from_plan} → {change.to_plan} ({change.quantity})"
    failed = f"  {change.error['code']}" if change.error is not None else ""
    return f"{change.created_at:%Y-%m-%d %H:%M:%S}  {change.state:15}  {change.id}  {what}{failed}"
