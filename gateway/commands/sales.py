"""``gateway sales`` lists the inquiries to sales and delivers them to sales' own system."""

import json
from typing import Any

import click

from gateway.commands.loading import load_migrated_gateway
from gateway.db.models import Notification, SalesInquiry
from gateway.services.notifications.outbox import to_text
from gateway.services.notifications.records import state_of
from gateway.services.sales.inquiries import deliver_inquiries, find_inquiries

LIMIT = click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)


@click.group()
def sales() -> None:
    """List and deliver the inquiries to sales."""


@sales.command("list")
@click.option("--undelivered", is_flag=True, help="Only inquiries that sales' own system has not accepted.")
@LIMIT
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line, with the message.")
def list_inquiries(*, undelivered: bool, limit: int, as_json: bool) -> None:
    """List the newest inquiries, newest first."""
    found = find_inquiries(load_migrated_gateway(), undelivered=undelivered, limit=limit)
    for inquiry, notification in found:
        click.echo(json.dumps(inquiry_fields(inquiry, notification)) if as_json else format_row(inquiry, notification))
    if not found and not as_json:
        click.echo("No inquiries.", err=True)


@sales.command()
@LIMIT
def deliver(limit: int) -> None:
    """Deliver all undelivered inquiries now, even those given up. Exit with status 1 if any is left."""
    delivered, undelivered = deliver_inquiries(load_migrated_gateway(), limit)
    click.echo(f"{delivered} of {undelivered} delivered.")
    if delivered < undelivered:
        raise click.exceptions.Exit(1)


def describe_state(notification: Notification | None) -> str:
    """Return how far the delivery of an inquiry has come. Without a receiver it was only stored."""
    return "stored" if notification is None else state_of(notification)


def inquiry_fields(inquiry: SalesInquiry, notification: Notification | None) -> dict[str, Any]:
    """Return all columns and the delivery, for JSON."""
    columns = [(column.key, getattr(inquiry, column.key)) for column in SalesInquiry.__table__.columns]
    delivery = [(name, getattr(notification, name, None)) for name in ("next_attempt_at", "error", "delivered_at")]
    attempts = notification.attempts if notification is not None else 0
    return to_text([*columns, ("attempts", attempts), *delivery, ("state", describe_state(notification))])


def format_row(inquiry: SalesInquiry, notification: Notification | None) -> str:
    """Return the inquiry as one row of the table."""
    error = f"  {notification.error}" if notification is not None and notification.error else ""
    attempts = notification.attempts if notification is not None else 0
    what = f"{inquiry.created_at:%Y-%m-%d %H:%M:%S}  {describe_state(notification):9}  {attempts:2}  {inquiry.id}"
    return f"{what}  {inquiry.organization_id}  {inquiry.name} <{inquiry.email}>, {inquiry.company}{error}"
