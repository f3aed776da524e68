"""gunicorn's logger. It writes JSON, without the parts of a request that may hold a secret."""

import json
import logging
from datetime import UTC, datetime, timedelta
from typing import Any

from gunicorn.glogging import Logger
from structlog.contextvars import clear_contextvars, get_contextvars

from gateway.logging import build_formatter

encode = json.JSONEncoder().encode


class AccessLogger(Logger):
    """Logs each answer with what its request has bound, such as its id and its organization."""

    def access(self, resp: Any, req: Any, environ: dict[str, Any], request_time: timedelta) -> None:  # noqa: ARG002 - gunicorn passes it
        """Log an answer with the path as it was sent. Leave out the query string, the referrer and the user name.

        Every delivery is logged. The renderer of the other logs takes twice as long.
        """
        if self.access_log_enabled:
            line = {
                "method": environ["REQUEST_METHOD"],
                "path": environ["RAW_URI"].partition("?")[0],
                "status": resp.status_code,
                "bytes": resp.sent,
                "ms": round(request_time.total_seconds() * 1000, 1),
                "client": environ["REMOTE_ADDR"],
                "event": "request",
                **get_contextvars(),
                "level": "info",
                "logger": self.access_log.name,
                "timestamp": datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
            }
            self.access_log.info(encode(line))
        clear_contextvars()  # the next request may be refused before it binds ids of its own

    def _set_handler(self, log: Any, output: str | None, fmt: logging.Formatter, stream: Any = None) -> None:  # noqa: ARG002 - ours replaces it
        formatter = logging.Formatter("%(message)s") if log is self.access_log else build_formatter()
        super()._set_handler(log, output, formatter, stream)
