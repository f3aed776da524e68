"""The receivers of notifications. ``GATEWAY_RECEIVERS`` names the TOML file that lists them.

A person edits the file, or ``gateway notifications receivers`` rewrites it. The processes read it when they start.

Each table of the file is a receiver. Its ``url`` is where the gateway posts, and its ``secrets`` sign::

    [konnect]
    url = "https://konnect.example/hooks/billing"
    secrets = ["whsec_…"]
"""

import base64
import json
import os
import re
import secrets
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import NamedTemporaryFile
from types import MappingProxyType
from typing import Any

from gateway.config import SIGNING_SECRET, Config, ConfigError, is_private_url

SALES = "sales"
"""The receiver that ``GATEWAY_SALES_WEBHOOK_URL`` sets. It gets the sales inquiries, and no other receiver does."""
INQUIRY = "sales_inquiry.created"
NAME = re.compile(r"\A[a-z][a-z0-9_-]{0,39}\Z")


@dataclass(frozen=True, kw_only=True)
class Receiver:
    """A system that the gateway notifies. The URL may itself hold a secret."""

    name: str
    url: str = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)
    """Each secret signs, so that the receiver may verify with the old or the new one while a secret is replaced."""


def wants(receiver: str, notification_type: str) -> bool:
    """Return whether a receiver gets the notifications of a type. Inquiries hold personal data for sales alone."""
    return (receiver == SALES) == (notification_type == INQUIRY)


def load_receivers(config: Config) -> Mapping[str, Receiver]:
    """Return the receivers by name. Raise ConfigError with every mistake of the file."""
    listed = read_receivers(config.receivers) if config.receivers is not None else {}
    if config.sales_webhook_url is not None and config.sales_webhook_secret is not None:
        sales = Receiver(name=SALES, url=config.sales_webhook_url, secrets=(config.sales_webhook_secret,))
        listed = {**listed, SALES: sales}
    return MappingProxyType(listed)


def read_receivers(path: Path) -> dict[str, Receiver]:
    """Read the file. Raise ConfigError, which never shows a secret or an address."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"GATEWAY_RECEIVERS cannot be read: {error}") from error
    except ValueError as error:
        raise ConfigError(f"GATEWAY_RECEIVERS is not a TOML file in UTF-8: {path}") from error
    if mistakes := [f"  {name}: {text}" for name, table in tables.items() for text in find_mistakes(name, table)]:
        raise ConfigError("the file of GATEWAY_RECEIVERS has mistakes:\n" + "\n".join(mistakes))
    return {
        name: Receiver(name=name, url=table["url"], secrets=tuple(table["secrets"])) for name, table in tables.items()
    }


def find_mistakes(name: str, table: Any) -> Iterator[str]:
    """Yield each mistake of one receiver."""
    if not NAME.match(name):
        yield "a name has small letters, digits, - and _, and begins with a letter"
    if name == SALES:
        yield "GATEWAY_SALES_WEBHOOK_URL sets this receiver"
    if not isinstance(table, dict) or set(table) != {"url", "secrets"}:
        yield "expected a table with the keys url and secrets"
        return
    if not isinstance(table["url"], str) or not is_private_url(table["url"]):
        yield "url must begin with https://, unless it is on this machine"
    listed = table["secrets"] if isinstance(table["secrets"], list) else []
    if not listed or not all(isinstance(each, str) and SIGNING_SECRET.match(each) for each in listed):
        yield "secrets must be a list of whsec_… with 24 bytes or more in base64"


def add_receiver(path: Path, name: str, url: str) -> str:
    """Add a receiver to the file, which need not exist yet. Return its new secret. Raise ConfigError."""
    listed = read_receivers(path) if path.exists() else {}
    if name in listed:
        raise ConfigError(f"There is a receiver {name} already.")
    secret = f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}"
    if mistakes := list(find_mistakes(name, {"url": url, "secrets": [secret]})):
        raise ConfigError(f"The receiver {name} cannot be added: {'; '.join(mistakes)}.")
    write_receivers(path, {**listed, name: Receiver(name=name, url=url, secrets=(secret,))})
    return secret


def remove_receiver(path: Path, name: str) -> None:
    """Remove a receiver from the file. Raise ConfigError if it is not there."""
    listed = read_receivers(path)
    if name not in listed:
        raise ConfigError(f"There is no receiver {name} in {path}.")
    write_receivers(path, {other: each for other, each in listed.items() if other != name})


def write_receivers(path: Path, receivers: Mapping[str, Receiver]) -> None:
    """Replace the file, so that no process reads half of it. It keeps its mode and its owner.

    A new file is readable only by its owner, because the secrets sign. A JSON string is also a TOML string.
    """
    tables = [
        f"[{each.name}]\nurl = {json.dumps(each.url, ensure_ascii=False)}\nsecrets = {json.dumps(each.secrets)}\n"
        for each in receivers.values()
    ]
    target = path.resolve()
    with NamedTemporaryFile("w", encoding="utf-8", dir=target.parent, delete=False) as file:
        temporary = Path(file.name)
        try:
            file.write("\n".join(tables))
            file.flush()
            os.fsync(file.fileno())
            read_receivers(temporary)  # a URL with an odd character must not break the file
            if target.exists():
                before = target.stat()
                os.chown(temporary, before.st_uid, before.st_gid)
                temporary.chmod(before.st_mode)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
