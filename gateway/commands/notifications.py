"""``gateway notifications`` shows and replays the notifications to other systems, and changes their receivers."""

import json
from pathlib import Path
from typing import Any

import click

from gateway.commands.loading import load_migrated_gateway
from gateway.config import Config, ConfigError
from gateway.db.models import Notification
from gateway.receivers import add_receiver, remove_receiver
from gateway.services.notifications.delivery import build_message
from gateway.services.notifications.outbox import to_text
from gateway.services.notifications.records import (
    IS_IN_STATE,
    ReceiverReport,
    Selection,
    find_notifications,
    get_notification,
    replay,
    report_receivers,
    state_of,
)

FIELDS = ("id", "type", "organization_id", "receiver", "created_at", "attempts", "next_attempt_at", "error")


@click.group()
def notifications() -> None:
    """Show and replay the notifications to other systems."""


@notifications.command("list")
@click.option("--receiver", help="To this receiver.")
@click.option("--organization", "organization_id", help="About this organization.")
@click.option("--type", "type_", help="Such as plan.changed.")
@click.option("--state", type=click.Choice(list(IS_IN_STATE)))
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
def list_notifications(*, type_: str | None, limit: int, as_json: bool, **selection: Any) -> None:
    """List the newest notifications, newest first."""
    found = find_notifications(load_migrated_gateway(), Selection(type=type_, **selection), limit)
    for each in found:
        click.echo(json.dumps(describe(each)) if as_json else format_row(each))
    if not found and not as_json:
        click.echo("No notifications.", err=True)


@notifications.command()
@click.argument("notification_id")
def show(notification_id: str) -> None:
    """Print one notification with the message that the receiver gets, as JSON."""
    found = get_notification(load_migrated_gateway(), notification_id)
    click.echo(json.dumps(describe(found) | {"message": json.loads(build_message(found))}, indent=2))


@notifications.command("replay")
@click.argument("notification_ids", nargs=-1)
@click.option("--given-up", is_flag=True, help="All that were given up.")
def send_again(*, notification_ids: tuple[str, ...], given_up: bool) -> None:
    """Send notifications again, under the same ids. The worker sends them within seconds."""
    if bool(notification_ids) == given_up:
        raise click.UsageError("Name notifications by id, or use --given-up.")
    gateway = load_migrated_gateway()
    if given_up:
        notification_ids = tuple(each.id for each in find_notifications(gateway, Selection(state="given_up"), 10_000))
    sent = replay(gateway, notification_ids)
    click.echo(f"{sent} will be sent again.")
    if sent < len(notification_ids):
        raise click.exceptions.Exit(1)


@notifications.group()
def receivers() -> None:
    """Show and change the receivers of notifications."""


@receivers.command("list")
def list_receivers() -> None:
    """List the receivers, and what they have not accepted."""
    gateway = load_migrated_gateway()
    with gateway.database.reading() as session:
        found = report_receivers(session, gateway.receivers.keys())
    for each in found:
        click.echo(format_receiver(each))
    if not found:
        click.echo("No receivers. GATEWAY_RECEIVERS names the file that lists them.", err=True)


@receivers.command()
@click.argument("name")
@click.argument("url")
def add(name: str, url: str) -> None:
    """Add a receiver to the file of GATEWAY_RECEIVERS, and print its new secret. Rewrites the file without comments."""
    click.echo(add_receiver(receivers_file(), name, url))
    click.echo(f"Added {name}, which verifies with this secret. Restart web processes and workers.", err=True)


@receivers.command()
@click.argument("name")
def remove(name: str) -> None:
    """Remove a receiver from the file of GATEWAY_RECEIVERS. Rewrites the file without comments."""
    remove_receiver(receivers_file(), name)
    click.echo(f"Removed {name}. Restart web processes and workers.", err=True)


def receivers_file() -> Path:
    """Return the file of the receivers. Raise ConfigError if no setting names it."""
    if (path := Config.from_environment(()).receivers) is None:
        raise ConfigError("GATEWAY_RECEIVERS must name the file that lists the receivers.")
    return path


def describe(notification: Notification) -> dict[str, Any]:
    """Return the notification without its message, for JSON."""
    names = (*FIELDS, "delivered_at")
    return to_text([*((name, getattr(notification, name)) for name in names), ("state", state_of(notification))])


def format_row(notification: Notification) -> str:
    """Return the notification as one row of the table."""
    error = f"  {notification.error}" if notification.error else ""
    when = f"{notification.created_at:%Y-%m-%d %H:%M:%S}  {state_of(notification):9}  {notification.attempts:2}"
    what = f"{notification.id}  {notification.type:24}  {notification.organization_id}  {notification.receiver}"
    return f"{when}  {what}{error}"


def format_receiver(receiver: ReceiverReport) -> str:
    """Return the receiver as one row of the table."""
    state = "ok" if receiver.is_configured else "not configured"
    if receiver.state is not None and receiver.state.failures:
        since = f"{receiver.state.failing_since:%Y-%m-%d %H:%M}"
        state = f"{receiver.state.failures} failures since {since}: {receiver.state.error}"
        state += ", paused" if receiver.is_paused else ""
    return f"{receiver.name}  {receiver.waiting} waiting  {receiver.given_up} given up  {state}"
