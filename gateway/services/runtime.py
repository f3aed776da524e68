"""What the services work with: wired once by the composition roots, passed to every verb."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from stripe import StripeClient

from gateway.catalog import Catalog
from gateway.config import Config
from gateway.db.session import Database


@dataclass(frozen=True, kw_only=True)
class Gateway:
    """One process's parts. ``clock`` gives the present moment in UTC."""

    config: Config
    database: Database
    stripe: StripeClient
    catalog: Catalog
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Who asks, as the token says: the organization never comes from anywhere else."""

    organization_id: str
    actor: str
    name: str | None = None
    email: str | None = None
    idempotency_key: str | None = None
    """By which a request that comes again is known."""
