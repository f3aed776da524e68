"""``/health``: is the process alive, and can it do its work."""

from flask import Blueprint
from sqlalchemy import text

from gateway.endpoints.context import gateway

blueprint = Blueprint("health", __name__, url_prefix="/health")


@blueprint.get("/live")
def live() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@blueprint.get("/ready")
def ready() -> dict[str, str]:
    """The database answers; otherwise 503 ``database_unavailable``."""
    with gateway().database.transaction() as session:
        session.execute(text("SELECT 1"))
    return {"status": "ok"}
