"""The errors of a command that a person can fix."""

from sqlalchemy.exc import DBAPIError

from gateway.config import ConfigError
from gateway.db.session import is_outage
from gateway.errors import GatewayError


def explain(error: Exception) -> str | None:
    """Return one line that says what is wrong, or None if only an engineer can fix it."""
    if isinstance(error, ConfigError | GatewayError | OSError):
        return str(error)
    if isinstance(error, DBAPIError) and is_outage(error.orig):
        return f"the database cannot be reached: {error.orig}".partition("\n")[0]
    return None
