"""The commands that the documents name can be run."""

import importlib.util
import runpy
import shutil
import subprocess
import sys

import pytest
from click.testing import CliRunner

from gateway.cli import cli
from tests.support.commands import runnable_commands
from tests.support.documents import DOCUMENTS, ROOT, Document, name_of

MAKE, SHELL = shutil.which("make") or "make", shutil.which("sh") or "sh"
GATEWAY = ("gateway", ".venv/bin/gateway")


def gateway_lines() -> set[tuple[str, ...]]:
    return {tuple(words[1:]) for each in DOCUMENTS for words in each.commands() if words[0] in GATEWAY}


def make_lines() -> set[tuple[str, ...]]:
    return {tuple(words[1:]) for each in DOCUMENTS for words in each.commands() if words[0] == "make"} - {()}


def python_lines() -> set[tuple[str, ...]]:
    return {tuple(words[1:]) for each in DOCUMENTS for words in each.commands() if words[:2] == ["python", "-m"]}


@pytest.mark.parametrize("words", sorted(gateway_lines()), ids=" ".join)
def test_gateway_takes_the_command_and_its_options(words: tuple[str, ...]) -> None:
    result = CliRunner().invoke(cli, [*words, "--help"])
    assert result.exit_code == 0, result.output


def test_every_command_is_named() -> None:
    named = gateway_lines()
    missing = [each for each in runnable_commands(cli) if not any(words[: len(each)] == each for words in named)]
    assert missing == []


@pytest.mark.parametrize("words", sorted(make_lines()), ids=" ".join)
def test_make_has_the_target(words: tuple[str, ...]) -> None:
    result = subprocess.run([MAKE, "-n", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("words", sorted(python_lines()), ids=" ".join)
def test_python_finds_the_module_and_takes_its_options(words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    _, module, *options = words
    assert importlib.util.find_spec(module) is not None
    if not options:  # a module without options would ignore --help and run
        return
    monkeypatch.setattr(sys, "argv", [module, *options, "--help"])
    monkeypatch.delitem(sys.modules, module, raising=False)  # a test may have imported it
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(module, run_name="__main__")
    assert ended.value.code == 0


@pytest.mark.parametrize("document", [each for each in DOCUMENTS if each.fences("sh")], ids=name_of)
def test_shell_blocks_have_valid_syntax(document: Document) -> None:
    for block in document.fences("sh"):
        result = subprocess.run([SHELL, "-n"], input=block, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr
