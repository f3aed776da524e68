"""``gateway notifications`` lists, shows and replays."""

import json

import pytest
from click.testing import CliRunner, Result

from gateway.cli import cli
from tests.support.api import ApiClient
from tests.support.commands import use_settings
from tests.support.notified import NotifiedSystem, notify
from tests.support.world import World


@pytest.fixture
def changed(world: World, api: ApiClient, monkeypatch: pytest.MonkeyPatch) -> World:
    """Return a world in which one notification waits. Set the environment of the command."""
    use_settings(monkeypatch, world.gateway.config)
    api.ok("PATCH", "/subscription", plan="plus")
    return world


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["notifications", *arguments], catch_exceptions=False)


def test_notifications_are_listed_shown_and_replayed(changed: World, konnect: NotifiedSystem) -> None:
    assert run("receivers", "list").stdout == "konnect  1 waiting  0 given up  ok\n"
    notify(changed)
    [row] = [json.loads(line) for line in run("list", "--organization", "org_1", "--json").stdout.splitlines()]
    assert (row["type"], row["state"], row["attempts"]) == ("plan.changed", "delivered", 1)
    assert row["id"] in run("list", "--state", "delivered").stdout
    assert "No notifications." in run("list", "--state", "given_up").stderr
    shown = json.loads(run("show", row["id"]).stdout)
    assert shown["message"] == konnect.messages()[0]
    assert run("replay", row["id"]).stdout == "1 will be sent again.\n"
    notify(changed)
    assert konnect.ids() == [row["id"]] * 2
    assert (run("replay", "ntf_unknown").exit_code, run("replay").exit_code) == (1, 2)
