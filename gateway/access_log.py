"""gunicorn's logger, without the parts of a request that may hold a secret."""

from typing import Any

from gunicorn.glogging import Logger


class AccessLogger(Logger):
    """Logs the path as it was sent, without the query string, the referrer and the user name."""

    def atoms(self, resp: Any, req: Any, environ: dict[str, Any], request_time: Any) -> dict[str, Any]:
        """Return the values for the format of the access log."""
        # The decoded path could hold a line break, and so forge a line of the log.
        path = environ["RAW_URI"].partition("?")[0]
        line = f"{environ['REQUEST_METHOD']} {path} {environ['SERVER_PROTOCOL']}"
        found: dict[str, Any] = super().atoms(resp, req, environ, request_time)
        return {**found, "r": line, "U": path, "q": "-", "f": "-", "u": "-"}
