"""``gateway customers`` takes over the customers of an existing Stripe account."""

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from gateway.commands.loading import load_migrated_gateway
from gateway.services.adoption import walk
from gateway.services.adoption.claims import REASON_TEXTS, read_rows
from gateway.services.adoption.completion import count_incomplete
from gateway.services.adoption.migration import find_classic, migrate_all
from gateway.services.adoption.survey import Source, Survey, has_plan
from gateway.services.reconciliation.progress import Progress
from gateway.services.runtime import Gateway
from gateway.stripe_api.snapshots import ORGANIZATION_ID_KEY


@click.group()
def customers() -> None:
    """Take over the customers of an existing Stripe account."""


@customers.command()
@click.option(
    "--from-metadata", "metadata_key", metavar="KEY", help="Metadata key under which customers name their organization."
)
@click.option(
    "--csv",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File with the columns customer_id and organization_id.",
)
@click.option("--dry-run", is_flag=True, help="Report what would be done, and write nothing.")
@click.option("--migrate", is_flag=True, help="Also move subscriptions out of classic billing mode for good.")
def adopt(*, metadata_key: str | None, file: Path | None, dry_run: bool, migrate: bool) -> None:
    """Link Stripe's customers to organizations, and copy their subscriptions.

    A customer's metadata `organization_id` always counts. Exit with status 1 if a person must look at something.
    """
    if metadata_key is not None and file is not None:
        raise click.UsageError("Choose either --from-metadata or --csv.")
    try:
        rows = read_rows(file.read_text(encoding="utf-8-sig").splitlines()) if file is not None else {}
    except UnicodeDecodeError as error:
        raise click.UsageError(f"{file} must be encoded in UTF-8.") from error
    gateway = load_migrated_gateway(calls_stripe=True)
    at = Progress() if dry_run else walk.begin(gateway)
    survey = Survey(gateway, Source(metadata_key=metadata_key or ORGANIZATION_ID_KEY, rows=rows))
    with click.progressbar(survey.read(), label="Reading the customers", file=sys.stderr) as pages:
        for _ in pages:
            pass
    for line in describe_survey(survey):
        click.echo(line)
    in_order = not survey.decision.refusals
    if dry_run:
        click.echo("Nothing was written.")
        if migrate:
            describe_migration(gateway, survey)
    else:
        in_order &= link(gateway, survey, at)
        if migrate:
            in_order &= migrate_classic(gateway)
    sys.exit(0 if in_order else 1)


def describe_survey(survey: Survey) -> Iterator[str]:
    """Yield the lines of the report, for people."""
    decision = survey.decision
    for customer, organization in decision.links.items():
        state = survey.plans[customer]
        plan = f"{state.requested_plan}, {state.status}" if has_plan(state) else f"NO PLAN, {state.status}"
        classic = ", classic billing mode" if organization in survey.classic else ""
        yield f"  {customer} → {organization}  {plan}{classic}"
    for refusal in decision.refusals:
        organizations = ", ".join(refusal.organizations)
        yield f"  {refusal.customer_id} ✗ {organizations}  {refusal.reason}: {REASON_TEXTS[refusal.reason]}"
    without_plan = sum(not has_plan(survey.plans[customer]) for customer in decision.links)
    yield f"Stripe lists {survey.listed} customers."
    yield f"  {len(decision.links)} to link, {without_plan} of them without a plan"
    yield f"  {len(decision.linked)} linked already"
    yield f"  {len(decision.refusals)} not linked, please look at them"
    yield f"  {len(survey.classic)} subscriptions in classic billing mode"


def link(gateway: Gateway, survey: Survey, at: Progress) -> bool:
    """Link the customers of the survey and report the result. Return whether all of them were linked."""
    with click.progressbar(length=survey.listed + survey.subscriptions, label="Linking", file=sys.stderr) as bar:
        for objects, after in walk.walk(gateway, survey, at):
            bar.update(objects)
            at = after
    click.echo(f"{at.counts[walk.LINKED]} linked.")
    if taken := at.counts[walk.TAKEN]:
        click.echo(f"{taken} organizations got another customer in the meantime.")
    click.echo(f"{count_incomplete(gateway)} wait for the worker to write their metadata and copy the rest.")
    return not taken


def describe_migration(gateway: Gateway, survey: Survey) -> None:
    """Print which subscriptions ``--migrate`` would move."""
    found = {organization: subscription for organization, subscription, _ in find_classic(gateway)} | survey.classic
    for organization, subscription in sorted(found.items()):
        click.echo(f"  {organization}  {subscription} would move to flexible billing mode")
    click.echo(f"{len(found)} would move to flexible billing mode. There is no way back.")


def migrate_classic(gateway: Gateway) -> bool:
    """Move the subscriptions out of classic billing mode. Return whether all of them have moved."""
    refused, moved = [], 0
    total = len(find_classic(gateway))
    with click.progressbar(migrate_all(gateway), length=total, label="Migrating", file=sys.stderr) as migrations:
        for each in migrations:
            if each.refusal is None:
                moved += 1
            else:
                refused.append(each)
    for each in refused:
        click.echo(f"  {each.organization_id}  {each.subscription_id} NOT moved: {each.refusal}")
    click.echo(f"{moved} moved to flexible billing mode.")
    return not refused
