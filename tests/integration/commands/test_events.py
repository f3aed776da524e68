"""``gateway events`` lists, shows and replays stored events."""

import json
from datetime import timedelta

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import text

from gateway.cli import cli, main
from gateway.db.jobs import DRAIN_INBOX
from gateway.db.models import WebhookEvent
from gateway.errors import NotFound
from handlers import HANDLERS, IGNORED
from tests.support.commands import use_settings
from tests.support.database import change_event, state_of
from tests.support.stripe_events import deliver, event
from tests.support.world import World

PREFIX = "evt_test"


@pytest.fixture
def delivered(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """Deliver three events and set the environment of the command."""
    use_settings(monkeypatch, world.gateway.config)
    world.work()
    for number, kind in enumerate(["customer.updated", "setup_intent.succeeded", "invoice.paid"]):
        obj = {"id": f"obj_{number}", "object": "thing", "customer": None, "payment_method": None}
        deliver(world, json.dumps(event(id=f"{PREFIX}_{number}", type=kind, data={"object": obj})))
    return world


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["events", *arguments], catch_exceptions=False)


def listed(*arguments: str) -> list[str]:
    rows = [json.loads(row) for row in run("list", "--json", *arguments).stdout.splitlines()]
    return [row["id"] for row in rows if row["id"].startswith(PREFIX)]


def test_events_are_listed_newest_first_as_a_table(delivered: World) -> None:
    change_event(delivered, "evt_test_0", state="dead", error="ValueError: no such thing")
    lines = [row for row in run("list").output.splitlines() if PREFIX in row]
    assert [row.split()[4] for row in lines] == ["evt_test_2", "evt_test_1", "evt_test_0"]
    assert lines[2].split()[2:4] == ["dead", "0"]
    assert "customer.updated" in lines[2]
    assert "obj_0  ValueError: no such thing" in lines[2]
    assert len([row for row in run("list", "--limit", "2").output.splitlines() if PREFIX in row]) == 2


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--type", "customer.*"], ["evt_test_0"]),
        (["--type", "setup_*"], ["evt_test_1"]),
        (["--type", "customer_*"], []),
        (["--type", "customer.updated", "--type", "*.paid"], ["evt_test_2", "evt_test_0"]),
        (["--type", "invoice%"], []),
        (["--object", "obj_1"], ["evt_test_1"]),
        (["--state", "dead"], ["evt_test_0"]),
        (["--state", "dead", "--type", "invoice.*"], []),
        (["--since", "1h"], ["evt_test_2", "evt_test_1"]),
        (["--until", "1h"], ["evt_test_0"]),
        (["--since", "2h", "--until", "2200-01-01"], ["evt_test_2", "evt_test_1", "evt_test_0"]),
    ],
)
def test_events_are_filtered(delivered: World, options: list[str], expected: list[str]) -> None:
    earlier = delivered.gateway.clock() - timedelta(minutes=90)
    change_event(delivered, "evt_test_0", state="dead", received_at=earlier)
    assert listed(*options) == expected


def test_ignored_event_says_why_it_has_no_payload(delivered: World) -> None:
    deliver(delivered, json.dumps(event(id="evt_test_3", type="topup.created")))
    assert json.loads(run("show", "evt_test_3").stdout)["payload"] == "not kept, because the type has no handler"
    refused = run("replay", "evt_test_3")
    assert refused.exit_code == 1
    assert "evt_test_3: its payload is not kept, because the type has no handler" in refused.stderr


def test_pruned_event_is_listed_last_and_cannot_be_replayed(delivered: World) -> None:
    earlier = delivered.gateway.clock() - timedelta(days=40)
    change_event(delivered, "evt_test_1", state="done", payload=None, received_at=earlier)
    assert listed() == ["evt_test_2", "evt_test_0", "evt_test_1"]
    assert "pruned, because payloads are kept for 30 days" in run("show", "evt_test_1").output
    result = run("replay", "evt_test_1")
    assert (result.exit_code, "payload is pruned" in result.stderr) == (1, True)
    assert state_of(delivered, "evt_test_1") == "done"


@pytest.mark.usefixtures("delivered")
def test_event_is_shown_with_its_payload() -> None:
    shown = json.loads(run("show", "evt_test_2").output)
    assert shown["payload"]["data"]["object"]["id"] == "obj_2"
    assert (shown["type"], shown["state"], shown["livemode"]) == ("invoice.paid", "pending", False)


@pytest.mark.usefixtures("delivered")
def test_missing_event_is_reported_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["gateway", "events", "show", "evt_nowhere"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 1
    assert "There is no event evt_nowhere" in capsys.readouterr().err
    with pytest.raises(NotFound):
        run("replay", "evt_nowhere")


def test_replayed_event_is_processed_again_with_all_attempts(delivered: World) -> None:
    delivered.work()
    before = {row.id: row.processed_at for row in delivered.rows(WebhookEvent)}
    change_event(delivered, "evt_test_0", state="dead", attempts=10)
    assert run("replay", "evt_test_0", "evt_test_1").output == "2 will be processed again.\n"
    with delivered.gateway.database.transaction() as session:  # the replay has enqueued a drain
        waiting = text("SELECT count(*) FROM procrastinate_jobs WHERE task_name = :name AND status = 'todo'")
        assert session.scalar(waiting, {"name": DRAIN_INBOX}) == 1
    assert [
        (row.state, row.attempts) for row in delivered.rows(WebhookEvent) if row.id in {"evt_test_0", "evt_test_1"}
    ] == [
        ("pending", 0),
        ("pending", 0),
    ]
    delivered.work()
    after = {row.id: row.processed_at for row in delivered.rows(WebhookEvent)}
    again = {event_id for event_id in after if after[event_id] != before[event_id]}
    assert again >= {"evt_test_1"}
    assert "evt_test_2" not in again


def test_matching_events_are_replayed_and_a_dry_run_changes_nothing(delivered: World) -> None:
    for event_id in ("evt_test_0", "evt_test_2"):
        change_event(delivered, event_id, state="dead")
    assert run("replay", "--state", "dead", "--dry-run").output == "2 would be processed again.\n"
    assert state_of(delivered, "evt_test_0") == "dead"
    assert run("replay", "--state", "dead", "--type", "invoice.*").output == "1 will be processed again.\n"
    assert [state_of(delivered, each) for each in ("evt_test_0", "evt_test_2")] == ["dead", "pending"]


def test_an_event_of_another_mode_is_never_replayed(delivered: World) -> None:
    change_event(delivered, "evt_test_0", state="rejected")
    assert run("replay", "--since", "1h", "--type", "customer.updated").output == "0 will be processed again.\n"
    result = run("replay", "evt_test_0")
    assert (result.exit_code, "never applied" in result.stderr) == (1, True)


def test_replay_without_a_selection_is_refused() -> None:
    result = run("replay")
    assert (result.exit_code, "Name events by id" in result.stderr) == (2, True)


@pytest.mark.parametrize("time", ["yesterday", "3 d", "2h\n", "", "999999d"])
def test_invalid_time_is_refused(time: str) -> None:
    assert run("list", "--since", time).exit_code == 2


def test_listed_types_are_the_handled_ones() -> None:
    assert run("types").output.splitlines() == sorted(HANDLERS)
    assert [row.split("  ")[0] for row in run("types", "--ignored").output.splitlines()] == sorted(IGNORED)
