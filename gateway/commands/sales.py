"""``gateway sales``: what people asked, and whether sales' own system has it."""

import json
from datetime import datetime
from typing import Any

import click

from gateway.commands import migrated_parts
from gateway.db.models import SalesInquiry
from gateway.services.sales.delivery import deliver_inquiry
from gateway.services.sales.inquiries import find_inquiries

LIMIT = click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)


@click.group()
def sales() -> None:
    """What people asked of sales."""


@sales.command("list")
@click.option("--undelivered", is_flag=True, help="Only what sales' own system has not taken.")
@LIMIT
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, with the message.")
def list_inquiries(*, undelivered: bool, limit: int, as_json: bool) -> None:
    """The newest inquiries, newest first."""
    found = find_inquiries(migrated_parts(), undelivered=undelivered, limit=limit)
    for inquiry in found:
        click.echo(json.dumps(plain(inquiry)) if as_json else line(inquiry))
    if not found and not as_json:
        click.echo("No inquiries.", err=True)


@sales.command()
@LIMIT
def deliver(limit: int) -> None:
    """Attempt now to hand on what is undelivered, given up or not; status 1 if something is left."""
    gateway = migrated_parts()
    waiting = find_inquiries(gateway, undelivered=True, limit=limit)
    delivered = sum(deliver_inquiry(gateway, inquiry.id) for inquiry in waiting)
    click.echo(f"{delivered} of {len(waiting)} delivered.")
    if delivered < len(waiting):
        raise click.exceptions.Exit(1)


def state_of(inquiry: SalesInquiry) -> str:
    """How far it has come."""
    if inquiry.delivered_at is not None:
        return "delivered"
    if inquiry.next_attempt_at is not None:
        return "waiting"
    return "given_up" if inquiry.attempts else "stored"


def plain(inquiry: SalesInquiry) -> dict[str, Any]:
    """All of it, for JSON."""
    values = {column.key: getattr(inquiry, column.key) for column in SalesInquiry.__table__.columns}
    shown = {name: value.isoformat() if isinstance(value, datetime) else value for name, value in values.items()}
    return shown | {"state": state_of(inquiry)}


def line(inquiry: SalesInquiry) -> str:
    """One row of the table."""
    error = f"  {inquiry.error}" if inquiry.error else ""
    what = f"{inquiry.created_at:%Y-%m-%d %H:%M:%S}  {state_of(inquiry):9}  {inquiry.attempts:2}  {inquiry.id}"
    return f"{what}  {inquiry.organization_id}  {inquiry.name} <{inquiry.email}>, {inquiry.company}{error}"
