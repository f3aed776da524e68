"""``gateway --help`` lists every command without importing any."""

import subprocess
import sys
from importlib.metadata import version
from pkgutil import iter_modules

import click
import pytest
from click.testing import CliRunner

from gateway import commands
from gateway.cli import COMMANDS, cli

SHARED = {"failures", "loading"}
HEAVY = ("flask", "sqlalchemy", "stripe")


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_shows_the_first_sentence_of_the_help(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert (command.help or "").startswith(COMMANDS[name])


def test_each_module_is_a_command() -> None:
    assert {module.name for module in iter_modules(commands.__path__)} - SHARED == set(COMMANDS)


def test_an_unknown_command_is_refused() -> None:
    assert cli.get_command(click.Context(cli), "no_such_command") is None


def test_help_imports_no_library_of_the_service() -> None:
    script = f"import sys, gateway.cli; sys.exit(sum(name in sys.modules for name in {HEAVY!r}))"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_version_is_printed() -> None:
    result = CliRunner().invoke(cli, ["--version"])
    assert (result.exit_code, result.output.strip()) == (0, version("konnect-stripe-gateway"))


def test_shell_completes_a_command() -> None:
    environment = {"_GATEWAY_COMPLETE": "bash_complete", "COMP_WORDS": "gateway work", "COMP_CWORD": "1"}
    result = CliRunner().invoke(cli, env=environment, prog_name="gateway")
    assert result.output.strip() == "plain,worker"
