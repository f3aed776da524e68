"""``gateway events``: what came from Stripe, and what became of it."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from gateway.commands import migrated_parts
from gateway.db.models import WebhookEvent
from gateway.services.operations.retention import PAYLOADS_KEPT
from gateway.services.webhooks.replay import Selection, find_events, find_replayable, get_event, replay_events
from gateway.stripe_api import json_text
from handlers import HANDLERS, IGNORED

STATES = ("pending", "failed", "done", "ignored", "rejected", "dead")
AGO = re.compile(r"\A(\d{1,6})([smhd])\Z")
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class Moment(click.ParamType[datetime]):
    """A time in ISO 8601 (UTC unless it says otherwise), or so long ago: 90s, 15m, 2h, 3d."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Read it."""
        try:
            if match := AGO.match(value):
                return datetime.now(UTC) - timedelta(**{UNITS[match[2]]: int(match[1])})
            moment = datetime.fromisoformat(value)
        except (ValueError, OverflowError):  # OverflowError: before the year 1
            self.fail(f"{value!r} is neither a time such as 2026-11-01T12:00 nor an age such as 2h.", param, ctx)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def selecting(command: Callable[..., None]) -> Callable[..., None]:
    """The options that select events."""
    for option in (
        click.option("--until", type=Moment(), help="Received before then."),
        click.option("--since", type=Moment(), help="Received since then: 2026-11-01T12:00, or 2h, 3d ago."),
        click.option("--object", "object_id", help="About this object: sub_…, in_…, cus_…"),
        click.option("--state", "states", multiple=True, type=click.Choice(STATES), help="May be given repeatedly."),
        click.option("--type", "types", multiple=True, help="Such as invoice.paid or customer.*; may be repeated."),
    ):
        command = option(command)
    return command


@click.group()
def events() -> None:
    """What came from Stripe, and what became of it."""


@events.command("list")
@selecting
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def list_events(*, limit: int, as_json: bool, **selection: Any) -> None:
    """The newest events, newest first."""
    found = find_events(migrated_parts(), Selection(**selection), limit)
    for event in found:
        click.echo(json.dumps(plain(event)) if as_json else line(event))
    if not found and not as_json:
        click.echo("No events.", err=True)


@events.command()
@click.argument("event_id")
def show(event_id: str) -> None:
    """One event with its payload, as JSON."""
    event = get_event(migrated_parts(), event_id)
    payload: Any = f"pruned: it is kept for {PAYLOADS_KEPT.days} days"
    if event.payload is not None:
        payload = json_text.loads(event.payload)
    click.echo(json.dumps(plain(event) | {"payload": payload}, indent=2))


@events.command()
@click.argument("event_ids", nargs=-1)
@selecting
@click.option("--dry-run", is_flag=True, help="Only say how many it would be.")
def replay(*, event_ids: tuple[str, ...], dry_run: bool, **selection: Any) -> None:
    """Work off events once more: those named, or all that match.

    Nothing is applied twice by it: what the mirror knows already is found stale.
    """
    if not event_ids and not any(selection.values()):
        raise click.UsageError("Say which events: by id, or with --type, --state, --object, --since or --until.")
    gateway = migrated_parts()
    found = find_replayable(gateway, Selection(ids=event_ids, **selection))
    for event_id in sorted(set(event_ids) - set(found)):
        click.echo(f"{event_id}: {why_not(get_event(gateway, event_id))}", err=True)
    if dry_run:
        click.echo(f"{len(found)} to be worked off again.")
    else:
        click.echo(f"{replay_events(gateway, found)} will be worked off again.")
    if set(event_ids) - set(found):
        raise click.exceptions.Exit(1)


@events.command()
@click.option("--ignored", is_flag=True, help="Those near by that have no handler instead, and why.")
def types(*, ignored: bool) -> None:
    """The event types to subscribe to at Stripe, one a line."""
    for event_type in sorted(IGNORED if ignored else HANDLERS):
        click.echo(f"{event_type}  {IGNORED[event_type]}" if ignored else event_type)


def why_not(event: WebhookEvent) -> str:
    """Why an event cannot be replayed."""
    if event.payload is None:
        return f"its payload is pruned; it is kept for {PAYLOADS_KEPT.days} days"
    if event.state == "rejected":
        return "it is of another mode or account, and never applied"
    return f"it is {event.state} and does not match, or is due anyway"


def plain(event: WebhookEvent) -> dict[str, Any]:
    """Everything but the payload, for JSON."""
    names = ("id", "type", "object_id", "created", "api_version", "livemode", "account", "state", "attempts")
    more = ("next_attempt_at", "received_at", "processed_at", "error")
    values = {name: getattr(event, name) for name in (*names, *more)}
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in values.items()}


def line(event: WebhookEvent) -> str:
    """One row of the table."""
    error = f"  {event.error}"[:80] if event.error else ""
    what = f"{event.received_at:%Y-%m-%d %H:%M:%S}  {event.state:8}  {event.attempts:2}  {event.id:30}"
    return f"{what}  {event.type:40}  {event.object_id or '-'}{error}".rstrip()
