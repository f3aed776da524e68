"""``gateway events`` shows and replays the events that came from Stripe."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from gateway.commands.loading import load_migrated_gateway
from gateway.db.models import WebhookEvent
from gateway.services.operations.retention import PAYLOADS_KEPT
from gateway.services.webhooks.replay import Selection, find_events, find_replayable, get_event, replay_events
from gateway.stripe_api import json_text
from handlers import HANDLERS, IGNORED

STATES = ("pending", "failed", "done", "ignored", "rejected", "dead")
AGO = re.compile(r"\A(\d{1,6})([smhd])\Z")
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class Moment(click.ParamType[datetime]):
    """A time in ISO 8601, in UTC by default, or an age such as 90s, 15m, 2h or 3d."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Return the time that ``value`` means."""
        try:
            if match := AGO.match(value):
                return datetime.now(UTC) - timedelta(**{UNITS[match[2]]: int(match[1])})
            moment = datetime.fromisoformat(value)
        except (ValueError, OverflowError):  # OverflowError: before the year 1
            self.fail(f"{value!r} is neither a time such as 2026-11-01T12:00 nor an age such as 2h.", param, ctx)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def selection_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that select events."""
    for option in (
        click.option("--until", type=Moment(), help="Received before this time or age."),
        click.option("--since", type=Moment(), help="Received since 2026-11-01T12:00, or in the last 2h or 3d."),
        click.option("--object", "object_id", help="About this object: sub_…, in_…, cus_…"),
        click.option("--state", "states", multiple=True, type=click.Choice(STATES), help="Can be repeated."),
        click.option("--type", "types", multiple=True, help="Such as invoice.paid or customer.*. Can be repeated."),
    ):
        command = option(command)
    return command


@click.group()
def events() -> None:
    """Show and replay the events that came from Stripe."""


@events.command("list")
@selection_options
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
def list_events(*, limit: int, as_json: bool, **selection: Any) -> None:
    """List the newest events, newest first."""
    found = find_events(load_migrated_gateway(), Selection(**selection), limit)
    for event in found:
        click.echo(json.dumps(event_fields(event)) if as_json else format_row(event))
    if not found and not as_json:
        click.echo("No events.", err=True)


@events.command()
@click.argument("event_id")
def show(event_id: str) -> None:
    """Print one event with its payload, as JSON."""
    event = get_event(load_migrated_gateway(), event_id)
    payload: Any = explain_missing_payload(event)
    if event.payload is not None:
        payload = json_text.loads(event.payload)
    click.echo(json.dumps(event_fields(event) | {"payload": payload}, indent=2))


@events.command()
@click.argument("event_ids", nargs=-1)
@selection_options
@click.option("--dry-run", is_flag=True, help="Only say how many events would be replayed.")
def replay(*, event_ids: tuple[str, ...], dry_run: bool, **selection: Any) -> None:
    """Process the named events, or all that match, once more.

    This applies nothing twice, because the merge treats known states as stale.
    """
    if not event_ids and not any(selection.values()):
        raise click.UsageError("Name events by id, or select them with --type, --state, --object, --since or --until.")
    gateway = load_migrated_gateway()
    found = find_replayable(gateway, Selection(ids=event_ids, **selection))
    for event_id in sorted(set(event_ids) - set(found)):
        click.echo(f"{event_id}: {explain_refusal(get_event(gateway, event_id))}", err=True)
    if dry_run:
        click.echo(f"{len(found)} would be processed again.")
    else:
        click.echo(f"{replay_events(gateway, found)} will be processed again.")
    if set(event_ids) - set(found):
        raise click.exceptions.Exit(1)


@events.command()
@click.option("--ignored", is_flag=True, help="Print related types that have no handler instead, with the reason.")
def types(*, ignored: bool) -> None:
    """Print the event types to subscribe to at Stripe, one per line."""
    for event_type in sorted(IGNORED if ignored else HANDLERS):
        click.echo(f"{event_type}  {IGNORED[event_type]}" if ignored else event_type)


def explain_missing_payload(event: WebhookEvent) -> str:
    """Return why an event has no payload."""
    if event.type not in HANDLERS:
        return "not kept, because the type has no handler"
    return f"pruned, because payloads are kept for {PAYLOADS_KEPT.days} days"


def explain_refusal(event: WebhookEvent) -> str:
    """Return why an event cannot be replayed."""
    if event.payload is None:
        return f"its payload is {explain_missing_payload(event)}"
    if event.state == "rejected":
        return "it belongs to another mode or account, so it is never applied"
    return f"it is {event.state}, and either does not match or is due anyway"


def event_fields(event: WebhookEvent) -> dict[str, Any]:
    """Return everything but the payload, for JSON."""
    names = ("id", "type", "object_id", "created", "api_version", "livemode", "account", "state", "attempts")
    more = ("next_attempt_at", "received_at", "processed_at", "error")
    values = {name: getattr(event, name) for name in (*names, *more)}
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in values.items()}


def format_row(event: WebhookEvent) -> str:
    """Return the event as one row of the table."""
    error = f"  {event.error}"[:80] if event.error else ""
    what = f"{event.received_at:%Y-%m-%d %H:%M:%S}  {event.state:8}  {event.attempts:2}  {event.id:30}"
    return f"{what}  {event.type:40}  {event.object_id or '-'}{error}".rstrip()
