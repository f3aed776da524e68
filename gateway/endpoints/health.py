"""``/health`` says whether the process is alive and can do its work."""

from typing import Any

from flask import Blueprint

from gateway.db.revision import is_migrated
from gateway.endpoints.request_context import gateway
from gateway.errors import DatabaseUnavailable
from gateway.services.webhooks.endpoint_check import load_last_check

blueprint = Blueprint("health", __name__, url_prefix="/health")


@blueprint.get("/live")
def live() -> dict[str, str]:
    """Answer 200 while the process is alive."""
    return {"status": "ok"}


@blueprint.get("/ready")
def ready() -> dict[str, Any]:
    """Answer 200 if the database is up and migrated, or 503 ``database_unavailable``.

    The answer includes the worker's last check of the webhook endpoint. A problem found there does not make the process
    unready, because every other process shares it.
    """
    if not is_migrated(gateway().database):
        raise DatabaseUnavailable("The database is not migrated. Run `gateway migrate`.")
    found = load_last_check(gateway())
    endpoint = {"problem": found.problem, "checked_at": found.checked_at.isoformat()} if found is not None else None
    return {"status": "ok", "webhook_endpoint": endpoint}
