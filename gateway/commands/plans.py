"""``gateway plans``: the plan table."""

import click

from gateway.commands import migrated_parts
from gateway.services.plan_table.rebuild import rebuild_plan_table


@click.group()
def plans() -> None:
    """The plan table."""


@plans.command()
@click.option("--write", is_flag=True, help="Put right what differs; otherwise it is only told.")
def rebuild(*, write: bool) -> None:
    """Work the plan table out again from its history, and compare; status 0 if the two are equal now."""
    wrong = 0
    for finding in rebuild_plan_table(migrated_parts(), write=write):
        click.echo(f"{'repaired' if finding.repaired else 'differs '}  {finding.organization_id}  {finding.text}")
        wrong += not finding.repaired
    if wrong:
        raise click.exceptions.Exit(1)
    click.echo("The plan table is what its history says.")
