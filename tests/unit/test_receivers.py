"""The file of the receivers is read completely or refused, and no message shows a secret."""

import base64
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.cli import cli
from gateway.config import ConfigError
from gateway.receivers import INQUIRY, SALES, load_receivers, read_receivers, wants
from tests.support.config import config

SECRET = f"whsec_{base64.b64encode(b'a secret that only these tests know').decode()}"


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_file_and_sales_settings_give_the_receivers(tmp_path: Path) -> None:
    file = written(tmp_path / "r.toml", f'[konnect]\nurl = "https://konnect.example/"\nsecrets = ["{SECRET}"]\n')
    settings = config(receivers=file, sales_webhook_url="https://sales.example/", sales_webhook_secret=SECRET)
    found = load_receivers(settings)
    assert {name: each.url for name, each in found.items()} == {
        "konnect": "https://konnect.example/",
        SALES: "https://sales.example/",
    }
    assert SECRET not in repr(found)
    assert load_receivers(config()) == {}


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("konnect = 1", "konnect: expected a table with the keys url and secrets"),
        (f'[konnect]\nurl = "http://konnect.example"\nsecrets = ["{SECRET}"]', "konnect: url must begin with https://"),
        ('[konnect]\nurl = "https://k.example"\nsecrets = ["whsec_short"]', "konnect: secrets must be a list"),
        ('[konnect]\nurl = "https://k.example"\nsecrets = []', "konnect: secrets must be a list"),
        (f'[sales]\nurl = "https://k.example"\nsecrets = ["{SECRET}"]', "sales: GATEWAY_SALES_WEBHOOK_URL sets"),
        (f'["K 1"]\nurl = "https://k.example"\nsecrets = ["{SECRET}"]', "K 1: a name has small letters"),
        (f'[konnect]\nurl = "https://k.example"\nsecrets = ["{SECRET}"]\nx = 1', "konnect: expected a table"),
        ("[konnect", "not a TOML file"),
    ],
)
def test_mistake_in_the_file_is_named(tmp_path: Path, text: str, mistake: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load_receivers(config(receivers=written(tmp_path / "r.toml", text)))
    assert mistake in str(raised.value)
    assert SECRET not in str(raised.value)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_receivers(config(receivers=tmp_path / "none.toml"))


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Set the environment of the command, with a file of receivers that does not exist yet."""
    for name, value in {
        "GATEWAY_DATABASE_URL": "postgresql://db/gateway",
        "STRIPE_SECRET_KEY": "sk_test_1",
        "GATEWAY_JWT_DEVELOPMENT_SECRET": "a secret that only these tests know",
        "GATEWAY_RECEIVERS": str(tmp_path / "receivers.toml"),
    }.items():
        monkeypatch.setenv(name, value)
    return tmp_path / "receivers.toml"


def run(*arguments: str) -> str:
    command = ["notifications", "receivers", *arguments]
    return CliRunner().invoke(cli, command, catch_exceptions=False).stdout.strip()


def test_command_adds_and_removes_receivers(file: Path) -> None:
    first = run("add", "konnect", 'https://konnect.example/?token="1"')
    assert file.stat().st_mode & 0o777 == 0o600
    file.chmod(0o640)
    second = run("add", "crm", "https://crm.example/")
    found = read_receivers(file)
    assert {name: (each.url, each.secrets) for name, each in found.items()} == {
        "konnect": ('https://konnect.example/?token="1"', (first,)),
        "crm": ("https://crm.example/", (second,)),
    }
    run("remove", "konnect")
    assert list(read_receivers(file)) == ["crm"]
    assert (file.stat().st_mode & 0o777, list(file.parent.iterdir())) == (0o640, [file])


@pytest.mark.parametrize(
    ("arguments", "mistake"),
    [
        (("add", "konnect", "https://other.example/"), "There is a receiver konnect already"),
        (("add", "sales", "https://sales.example/"), "GATEWAY_SALES_WEBHOOK_URL sets this receiver"),
        (("add", "K]", "https://k.example/"), "a name has small letters"),
        (("add", "crm", "http://crm.example/"), "url must begin with https://"),
        (("add", "crm", "https://crm.example/\x7f"), "is not a TOML file"),
        (("remove", "crm"), "There is no receiver crm"),
    ],
)
def test_refused_command_leaves_the_file_as_it_is(file: Path, arguments: tuple[str, ...], mistake: str) -> None:
    before = f'# ours\n[konnect]\nurl = "https://konnect.example/"\nsecrets = ["{SECRET}"]\n'
    written(file, before)
    with pytest.raises(ConfigError, match=mistake):
        run(*arguments)
    assert (file.read_text(), list(file.parent.iterdir())) == (before, [file])


def test_command_needs_the_setting(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GATEWAY_RECEIVERS")
    with pytest.raises(ConfigError, match="GATEWAY_RECEIVERS must name"):
        run("add", "konnect", "https://konnect.example/")
    assert not file.exists()


def test_only_sales_gets_inquiries() -> None:
    assert [wants(name, kind) for name in (SALES, "konnect") for kind in (INQUIRY, "plan.changed")] == [
        True,
        False,
        False,
        True,
    ]
