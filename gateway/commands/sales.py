"""``gateway sales`` lists the inquiries to sales and delivers them to sales' own system."""

import json
from datetime import datetime
from typing import Any

import click

from gateway.commands.loading import load_migrated_gateway
from gateway.db.models import SalesInquiry
from gateway.services.sales.delivery import deliver_inquiry
from gateway.services.sales.inquiries import find_inquiries

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
    for inquiry in found:
        click.echo(json.dumps(inquiry_fields(inquiry)) if as_json else format_row(inquiry))
    if not found and not as_json:
        click.echo("No inquiries.", err=True)


@sales.command()
@LIMIT
def deliver(limit: int) -> None:
    """Deliver all undelivered inquiries now, even those given up. Exit with status 1 if any is left."""
    gateway = load_migrated_gateway()
    waiting = find_inquiries(gateway, undelivered=True, limit=limit)
    delivered = sum(deliver_inquiry(gateway, inquiry.id) for inquiry in waiting)
    click.echo(f"{delivered} of {len(waiting)} delivered.")
    if delivered < len(waiting):
        raise click.exceptions.Exit(1)


def state_of(inquiry: SalesInquiry) -> str:
    """Return how far the delivery of an inquiry has come."""
    if inquiry.delivered_at is not None:
        return "delivered"
    if inquiry.next_attempt_at is not None:
        return "waiting"
    return "given_up" if inquiry.attempts else "stored"


def inquiry_fields(inquiry: SalesInquiry) -> dict[str, Any]:
    """Return all columns and the state, for JSON."""
    values = {column.key: getattr(inquiry, column.key) for column in SalesInquiry.__table__.columns}
    shown = {name: value.isoformat() if isinstance(value, datetime) else value for name, value in values.items()}
    return shown | {"state": state_of(inquiry)}


def format_row(inquiry: SalesInquiry) -> str:
    """Return the inquiry as one row of the table."""
    error = f"  {inquiry.error}" if inquiry.error else ""
    what = f"{inquiry.created_at:%Y-%m-%d %H:%M:%S}  {state_of(inquiry):9}  {inquiry.attempts:2}  {inquiry.id}"
    return f"{what}  {inquiry.organization_id}  {inquiry.name} <{inquiry.email}>, {inquiry.company}{error}"
