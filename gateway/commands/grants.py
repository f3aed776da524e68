"""``gateway grants`` gives organizations complimentary plans and longer trials."""

from datetime import UTC, datetime

import click

from gateway.commands.loading import load_migrated_gateway
from gateway.db.models import Grant
from gateway.services.grants import add_grant, end_grant, list_grants
from gateway.services.plan_changes.longer_trial import extend_trial
from schemas.fields import ORGANIZATION_ID_PATTERN

OPERATOR = click.option(
    "--by", "operator", envvar="USER", show_envvar=True, required=True, help="Your name, for the history."
)


def read_organization(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    """Return the id of an organization. Raise BadParameter if no token could name it."""
    if value is not None and not ORGANIZATION_ID_PATTERN.fullmatch(value):
        raise click.BadParameter("must be the id of an organization")
    return value


ORGANIZATION = click.argument("organization", callback=read_organization)
UNTIL = click.option(
    "--until",
    required=True,
    type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ"]),
    help="The end, in UTC. A date means its first moment.",
)
REASON = click.option("--reason", required=True, help="Why. `gateway grants list` shows it.")


@click.group()
def grants() -> None:
    """Give organizations complimentary plans, and longer trials."""


@grants.command()
@ORGANIZATION
@click.argument("plan")
@UNTIL
@REASON
@OPERATOR
def add(organization: str, plan: str, until: datetime, reason: str, operator: str) -> None:
    """Grant a plan without a subscription at Stripe.

    The organization uses the higher one of this plan and its subscription's plan.
    """
    gateway, end = load_migrated_gateway(), until.replace(tzinfo=UTC)
    click.echo(format_row(add_grant(gateway, organization, plan, until=end, reason=reason, operator=operator)))


@grants.command("extend-trial")
@ORGANIZATION
@UNTIL
@REASON
@OPERATOR
def extend(organization: str, until: datetime, reason: str, operator: str) -> None:
    """Move the end of an organization's trial at Stripe."""
    gateway, end = load_migrated_gateway(calls_stripe=True), until.replace(tzinfo=UTC)
    click.echo(format_row(extend_trial(gateway, organization, until=end, reason=reason, operator=operator)))


@grants.command("list")
@click.argument("organization", required=False, callback=read_organization)
def show(organization: str | None) -> None:
    """List all running grants, or all grants that an organization ever had, newest first."""
    found = list_grants(load_migrated_gateway(), organization)
    for grant in found:
        click.echo(format_row(grant))
    if not found:
        click.echo("No grants.", err=True)


@grants.command()
@ORGANIZATION
@OPERATOR
def end(organization: str, operator: str) -> None:
    """End an organization's complimentary plan now."""
    click.echo(format_row(end_grant(load_migrated_gateway(), organization, operator)))


def format_row(grant: Grant) -> str:
    """Return the grant as one row."""
    ended = f"  ended {grant.ended_at:%Y-%m-%d %H:%M}" if grant.ended_at is not None else ""
    ended += f" by {grant.ended_by}" if grant.ended_by is not None else ""
    granted = f"trial of {grant.plan}" if grant.extends_trial else grant.plan
    what = f"{grant.organization_id}  {granted}  until {grant.until:%Y-%m-%d %H:%M}"
    return f"{what}  by {grant.granted_by}: {grant.reason}{ended}"
