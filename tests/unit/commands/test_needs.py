"""Each command asks only for the settings that it needs, and names all that are missing together."""

import os
import re

import pytest
from click.testing import CliRunner

from gateway.cli import cli
from gateway.config import ConfigError
from tests.support.commands import runnable_commands

TOKENS = ("GATEWAY_JWKS_URL", "GATEWAY_JWT_DEVELOPMENT_SECRET")
DATABASE, STRIPE = ("GATEWAY_DATABASE_URL",), ("GATEWAY_DATABASE_URL", "STRIPE_SECRET_KEY")
WHEN = ("--until", "2027-01-31", "--reason", "r", "--by", "b")
NEEDS = {
    ("catalog", "diff"): STRIPE,
    ("catalog", "migrate-subscribers"): STRIPE,
    ("catalog", "sync"): STRIPE,
    ("changes", "list"): DATABASE,
    ("changes", "show", "chg_1"): DATABASE,
    ("customers", "adopt"): STRIPE,
    ("doctor",): (*STRIPE, *TOKENS),
    ("events", "list"): DATABASE,
    ("events", "replay", "evt_1"): DATABASE,
    ("events", "show", "evt_1"): DATABASE,
    ("grants", "add", "org_1", "plus", *WHEN): DATABASE,
    ("grants", "end", "org_1", "--by", "b"): DATABASE,
    ("grants", "extend-trial", "org_1", *WHEN): STRIPE,
    ("grants", "list"): DATABASE,
    ("jobs", "list"): DATABASE,
    ("jobs", "retry", "1"): DATABASE,
    ("migrate",): DATABASE,
    ("notifications", "list"): DATABASE,
    ("notifications", "receivers", "add", "konnect", "https://konnect.example"): ("GATEWAY_RECEIVERS",),
    ("notifications", "receivers", "list"): DATABASE,
    ("notifications", "receivers", "remove", "konnect"): ("GATEWAY_RECEIVERS",),
    ("notifications", "replay", "ntf_1"): DATABASE,
    ("notifications", "show", "ntf_1"): DATABASE,
    ("organizations", "erase", "org_1", "--yes"): DATABASE,
    ("organizations", "export", "org_1"): DATABASE,
    ("organizations", "show", "org_1"): DATABASE,
    ("organizations", "show", "org_1", "--verify"): STRIPE,
    ("plans", "rebuild"): DATABASE,
    ("probe",): STRIPE,
    ("reconcile",): STRIPE,
    ("sales", "deliver"): DATABASE,
    ("sales", "list"): DATABASE,
    ("serve",): (*STRIPE, *TOKENS, "STRIPE_WEBHOOK_SECRETS"),
    ("token",): TOKENS,
    ("worker",): STRIPE,
}
NEED_NOTHING = {("catalog", "check"), ("catalog", "show"), ("demo",), ("events", "types"), ("sandbox",)}


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("GATEWAY_", "STRIPE_")):
            monkeypatch.delenv(name)
    monkeypatch.setattr("gateway.app.configure_logging", lambda _: None)  # other tests share this process's logging


@pytest.mark.parametrize(("words", "needs"), NEEDS.items(), ids=" ".join)
def test_command_names_exactly_the_settings_it_needs(words: tuple[str, ...], needs: tuple[str, ...]) -> None:
    error = CliRunner().invoke(cli, words).exception
    assert isinstance(error, ConfigError)
    assert set(re.findall(r"\b(?:GATEWAY|STRIPE)_[A-Z_]+\b", str(error))) == set(needs)


def test_every_command_is_checked() -> None:
    for command in runnable_commands(cli):
        assert any(words[: len(command)] == command for words in {*NEEDS, *NEED_NOTHING}), command


@pytest.mark.parametrize("words", [("catalog", "check"), ("catalog", "show"), ("events", "types")], ids=" ".join)
def test_command_without_needs_runs_without_settings(words: tuple[str, ...]) -> None:
    assert CliRunner().invoke(cli, words).exit_code == 0
