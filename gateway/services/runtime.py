"""The objects that every service receives. The composition roots build them once per process."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

from stripe import StripeClient

from gateway.catalog import Catalog
from gateway.config import Config
from gateway.db.session import Database
from gateway.receivers import Receiver
from gateway.stripe_api.gate import Gate


@dataclass(frozen=True, kw_only=True)
class Gateway:
    """One process's configuration, database, Stripe client and catalogue."""

    config: Config
    database: Database
    stripe: StripeClient
    gate: Gate
    """The bounds of the calls that ``stripe`` makes."""
    catalog: Catalog
    receivers: Mapping[str, Receiver] = field(default_factory=lambda: MappingProxyType({}))
    """The receivers of notifications, by name."""
    clock: Callable[[], datetime]
    """Returns the time in UTC. It is the database's time, so that all machines agree about it."""


@dataclass(frozen=True, kw_only=True)
class Caller:
    """The user of a request. Only the bearer token decides the organization, never the request body."""

    organization_id: str
    actor: str
    name: str | None = None
    email: str | None = None
    currency: str | None = None
    """The currency of the token. It counts only for an enrolment, and only if the catalogue is sold in it."""
    idempotency_key: str | None = None
    """The request's ``Idempotency-Key`` header, by which the gateway recognizes a repeated request."""
