"""The receivers of notifications. ``GATEWAY_RECEIVERS`` names the TOML file that lists them.

Each table of the file is a receiver. Its ``url`` is where the gateway posts, and its ``secrets`` sign::

    [konnect]
    url = "https://konnect.example/hooks/billing"
    secrets = ["whsec_…"]
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from gateway.config import SIGNING_SECRET, Config, ConfigError, is_private_url

SALES = "sales"
"""The receiver that ``GATEWAY_SALES_WEBHOOK_URL`` sets. It alone gets ``FOR_SALES``."""
INQUIRY = "sales_inquiry.created"
CANCELLATION = "cancellation_reason.given"
FOR_SALES = frozenset({INQUIRY, CANCELLATION})
NAME = re.compile(r"\A[a-z][a-z0-9_-]{0,39}\Z")


@dataclass(frozen=True, kw_only=True)
class Receiver:
    """A system that the gateway notifies. The URL may itself hold a secret."""

    name: str
    url: str = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)
    """Each secret signs, so that the receiver may verify with the old or the new one while a secret is replaced."""


def wants(receiver: str, notification_type: str) -> bool:
    """Return whether a receiver gets the notifications of a type. What people write to sales is for sales alone."""
    return (receiver == SALES) == (notification_type in FOR_SALES)


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
    secrets = table["secrets"] if isinstance(table["secrets"], list) else []
    if not secrets or not all(isinstance(each, str) and SIGNING_SECRET.match(each) for each in secrets):
        yield "secrets must be a list of whsec_… with 24 bytes or more in base64"
