"""A shell sees the right exit status and output of ``gateway``."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import psycopg
import pytest
from sqlalchemy import make_url

from gateway.cli import main
from tests.support.commands import use_settings
from tests.support.database import execute_sql
from tests.support.stripe_answers import stripe_that_answers
from tests.support.stripe_events import deliver, event
from tests.support.world import World


@dataclass
class Shell:
    """Runs the command through its entry point, in the environment of a world."""

    monkeypatch: pytest.MonkeyPatch
    captured: pytest.CaptureFixture[str]

    def __call__(self, *arguments: str, **environment: str) -> tuple[int, str, str]:
        """Run the command and return its status, stdout and stderr. ``environment`` replaces settings."""
        for name, value in environment.items():
            self.monkeypatch.setenv(name, value)
        self.monkeypatch.setattr("sys.argv", ["gateway", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        out, err = self.captured.readouterr()
        return int(end.value.code or 0), out, err

    def complaint(self, *arguments: str, **environment: str) -> str:
        """Run a command that must fail with a message only. Return the message, which has no traceback."""
        status, out, err = self(*arguments, **environment)
        assert (status in {1, 2}, out, "Traceback" in err) == (True, "", False)
        return err


@pytest.fixture
def shell(world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    use_settings(monkeypatch, world.gateway.config)
    return Shell(monkeypatch, capsys)


@pytest.fixture
def empty_database(database_url: str) -> Iterator[str]:
    """Create a database without tables and return its URL."""
    name = f"{make_url(database_url).database}_empty"
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"'.encode())
        yield make_url(database_url).set(database=name).render_as_string(hide_password=False)
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())


def prune_an_event(world: World) -> None:
    deliver(world, json.dumps(event(id="evt_test")))
    world.work()
    execute_sql(world, "UPDATE webhook_events SET payload = NULL, state = 'done' WHERE id = 'evt_test'")


def write_to_the_plan_table(world: World) -> None:
    world.api().ok("POST", "/subscription", plan="free")
    execute_sql(world, "UPDATE organization_plans SET version = 9")


@pytest.mark.parametrize(
    ("prepare", "arguments", "message"),
    [
        (lambda _: None, ("doctor",), "no worker is alive"),
        (prune_an_event, ("events", "replay", "evt_test"), "its payload is pruned"),
        (write_to_the_plan_table, ("plans", "rebuild"), "differs   org_1"),
        (lambda _: None, ("sales", "deliver"), "GATEWAY_SALES_WEBHOOK_URL is not set."),
    ],
    ids=["doctor", "replay", "rebuild", "deliver"],
)
def test_problem_sets_the_exit_status(
    world: World, shell: Shell, prepare: Callable[[World], object], arguments: tuple[str, ...], message: str
) -> None:
    prepare(world)
    status, out, err = shell(*arguments)
    assert message in out + err
    assert status == 1


@pytest.mark.parametrize("arguments", [("plans", "rebuild"), ("sales", "list"), ("events", "list"), ("--help",)])
def test_successful_command_exits_with_0(shell: Shell, arguments: tuple[str, ...]) -> None:
    assert shell(*arguments)[0] == 0


@pytest.mark.parametrize(
    "arguments",
    [
        *(("events", "list"), ("events", "show", "evt_1"), ("events", "replay", "evt_1"), ("reconcile",)),
        *(("plans", "rebuild"), ("sales", "list"), ("sales", "deliver"), ("catalog", "sync"), ("worker",)),
    ],
    ids=" ".join,
)
def test_command_without_tables_says_to_migrate(shell: Shell, empty_database: str, arguments: tuple[str, ...]) -> None:
    message = shell.complaint(*arguments, GATEWAY_DATABASE_URL=empty_database)
    assert message == "Error: The database is not migrated. Run `gateway migrate`.\n"


@pytest.mark.parametrize(
    "arguments",
    [
        *(("events", "show", "\udcff"), ("events", "replay", "\udcff"), ("events", "list", "--object", "\udcff")),
        *(("events", "list", "--type", "\udcff"), ("token", "--organization", "\udcff"), ("\udcff",)),
    ],
)
def test_non_utf_8_arguments_are_refused(shell: Shell, arguments: tuple[str, ...]) -> None:
    assert shell.complaint(*arguments) == "Error: The arguments are not all UTF-8.\n"


def test_undecodable_argument_of_a_real_shell_is_refused() -> None:
    command: list[str | bytes] = [sys.executable, "-m", "gateway", "events", "show", b"\xff"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (2, "Error: The arguments are not all UTF-8.\n")


@pytest.mark.parametrize("url", ["postgresql://h:notaport/x", "postgresql://h/x?foo=bar"])
def test_invalid_database_url_is_refused(shell: Shell, url: str) -> None:
    message = shell.complaint("events", "list", GATEWAY_DATABASE_URL=url)
    assert "GATEWAY_DATABASE_URL: must look like postgresql://" in message
    assert url not in message


@pytest.mark.parametrize("answer", [{}, []])
def test_answer_of_another_shape_means_stripe_is_unavailable(shell: Shell, answer: object) -> None:
    with stripe_that_answers(200, answer) as (url, _):
        assert shell.complaint("reconcile", STRIPE_API_BASE=url).startswith("gateway: Stripe did not answer")
        status, out, err = shell("doctor", STRIPE_API_BASE=url)
    assert (status, "✗ Stripe: Stripe did not answer" in out, err) == (1, True, "")


def test_grants_are_added_listed_and_ended(shell: Shell) -> None:
    shell.monkeypatch.setenv("USER", "ada")
    added = ("grants", "add", "org_1", "plus", "--until", "2099-01-01", "--reason", "Beta")
    row = "org_1  plus  until 2099-01-01 00:00  by ada: Beta"
    assert shell(*added) == (0, f"{row}\n", "")
    assert "End it first" in shell.complaint(*added)
    assert "is over" in shell.complaint("grants", "add", "org_2", "plus", "--until", "2001-01-01", "--reason", "Beta")
    assert "must be the id" in shell.complaint("grants", "end", "org 1")
    longer = ("grants", "extend-trial", "org_1", "--until", "2099-01-01", "--reason", "Beta")
    assert "org_1 is in no trial" in shell.complaint(*longer)
    assert shell("grants", "list") == (0, f"{row}\n", "")
    status, out, _ = shell("grants", "end", "org_1", "--by", "bob")
    assert (status, out.startswith(f"{row}  ended "), out.endswith(" by bob\n")) == (0, True, True)
    assert shell("grants", "list") == (0, "", "No grants.\n")
    assert shell("grants", "list", "org_1") == (0, out, "")
