"""Engine and transactions."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import psycopg
from sqlalchemy import Engine, create_engine, make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from gateway.errors import DatabaseUnavailable

# SQLSTATE classes of an outage: connection exception, insufficient resources, shutdown and crash. Not psycopg's
# OperationalError as such, which a deadlock or an oversized index key is as well: those are one statement's trouble.
OUTAGES = ("08", "53", "57P0")
# A peer that is gone without a word is noticed within half a minute, not when TCP gives up.
CONNECT: Mapping[str, Any] = MappingProxyType(
    {
        "connect_timeout": 5,
        "tcp_user_timeout": 25_000,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "options": "-c timezone=UTC",
    }
)


def is_outage(error: BaseException | None) -> bool:
    """Whether the database as a whole is away. An error without a SQLSTATE comes from a failed connection."""
    return isinstance(error, psycopg.OperationalError) and (error.sqlstate or "08").startswith(OUTAGES)


class Database:
    """PostgreSQL behind a pool. One a process, created after the fork; threads share it."""

    def __init__(self, url: str, *, pool_size: int = 10) -> None:
        self.engine: Engine = create_engine(
            make_url(url).set(drivername="postgresql+psycopg"),
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=5,
            hide_parameters=True,  # an error's text goes into logs: it must not carry names, addresses or payloads
            pool_pre_ping=True,  # a restarted database costs one round trip, not one failed request a connection
            connect_args=CONNECT,
        )
        self._each_for_itself = self.engine.execution_options(isolation_level="AUTOCOMMIT")

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """One transaction: committed at the end of the block, rolled back if it raises.

        Raises DatabaseUnavailable if the database cannot be reached or went away meanwhile: then it is not known to be
        committed.
        """
        with self._using(self.engine) as session:
            yield session

    @contextmanager
    def _using(self, engine: Engine) -> Iterator[Session]:
        try:
            with Session(engine, expire_on_commit=False) as session, session.begin():
                yield session
        except PoolTimeout as error:
            raise DatabaseUnavailable("All database connections are in use; please try again.") from error
        except DBAPIError as error:
            if error.connection_invalidated or is_outage(error.orig):
                raise DatabaseUnavailable("The database cannot be reached; please try again.") from error
            raise

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """For statements that need no transaction around them, as reads do: two round trips less.

        Raises DatabaseUnavailable.
        """
        with self._using(self._each_for_itself) as session:
            yield session

    def connect(self) -> psycopg.Connection[Any]:
        """A connection outside the pool that commits each statement by itself. psycopg.OperationalError if it fails."""
        url = self.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
        return psycopg.connect(url, autocommit=True, **CONNECT)

    def close(self) -> None:
        """Close the pooled connections."""
        self.engine.dispose()
