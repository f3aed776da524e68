"""``gateway plans`` checks and repairs the plan table."""

import click

from gateway.commands.loading import load_migrated_gateway
from gateway.services.plan_table.rebuild import rebuild_plan_table


@click.group()
def plans() -> None:
    """Check and repair the plan table."""


@plans.command()
@click.option("--write", is_flag=True, help="Repair what differs, instead of only reporting it.")
def rebuild(*, write: bool) -> None:
    """Derive the plan table from its history and compare. Exit with status 0 if the two are equal now."""
    wrong = 0
    for finding in rebuild_plan_table(load_migrated_gateway(), write=write):
        click.echo(f"{'repaired' if finding.repaired else 'differs '}  {finding.organization_id}  {finding.text}")
        wrong += not finding.repaired
    if wrong:
        raise click.exceptions.Exit(1)
    click.echo("The plan table matches its history.")
