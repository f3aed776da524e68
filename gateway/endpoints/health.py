"""``/health``: is the process alive, and can it do its work."""

from typing import Any

from flask import Blueprint

from gateway.db.migrate import is_migrated
from gateway.endpoints.request_context import gateway
from gateway.errors import DatabaseUnavailable
from gateway.services.webhooks.endpoint_check import last_check

blueprint = Blueprint("health", __name__, url_prefix="/health")


@blueprint.get("/live")
def live() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@blueprint.get("/ready")
def ready() -> dict[str, Any]:
    """The database answers and is migrated; otherwise 503 ``database_unavailable``.

    What the worker last found of the webhook endpoint is told, and no reason to be not ready: others have the same.
    """
    if not is_migrated(gateway().database):
        raise DatabaseUnavailable("The database is not migrated: run `gateway migrate`.")
    found = last_check(gateway())
    endpoint = {"problem": found.problem, "checked_at": found.checked_at.isoformat()} if found is not None else None
    return {"status": "ok", "webhook_endpoint": endpoint}
