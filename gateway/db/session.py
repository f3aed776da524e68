"""Engine and transactions."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine, create_engine, make_url
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from gateway.errors import DatabaseUnavailable


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
            connect_args={"connect_timeout": 5, "options": "-c timezone=UTC"},
        )

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """One transaction: committed at the end of the block, rolled back if it raises.

        Raises DatabaseUnavailable if the database cannot be reached or went away meanwhile; then nothing
        was committed as far as the caller may assume.
        """
        try:
            with Session(self.engine, expire_on_commit=False) as session, session.begin():
                yield session
        except (OperationalError, PoolTimeout) as error:
            raise DatabaseUnavailable("The database cannot be reached; please try again.") from error
        except DBAPIError as error:
            if error.connection_invalidated:
                raise DatabaseUnavailable("The database went away; please try again.") from error
            raise

    def close(self) -> None:
        """Close the pooled connections."""
        self.engine.dispose()
