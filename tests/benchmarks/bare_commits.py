"""The yardstick of plan changes: a Flask view that makes three durable transactions of one INSERT each."""

import os
import threading

import psycopg
from flask import Flask

from tests.benchmarks.timed import timed

TABLE = "CREATE TABLE bare_changes (id bigserial PRIMARY KEY, organization_id text, payload jsonb)"
INSERT = "INSERT INTO bare_changes (organization_id, payload) VALUES (%s, %s)"
PAYLOAD = '{"plan": "plus", "quantity": 5}'
TRANSACTIONS = 3

app = Flask("bare_commits", static_folder=None)
_local = threading.local()


@app.patch("/<organization_id>")
def change(organization_id: str) -> dict[str, str]:
    """Write three times."""
    if not hasattr(_local, "connection"):
        _local.connection = psycopg.connect(os.environ["GATEWAY_DATABASE_URL"])
    for _ in range(TRANSACTIONS):
        with _local.connection.transaction():
            _local.connection.execute(INSERT, (organization_id, PAYLOAD))
    return {"state": "applied"}


def application() -> Flask:
    """Return the application that gunicorn loads."""
    app.wsgi_app = timed(app.wsgi_app)  # type: ignore[assignment, method-assign]  # Flask's documented way to wrap it
    return app
