"""The yardstick of reads: a Flask view that executes the SELECT of entitlements and returns the row as JSON."""

import os
import threading
from typing import Any

import psycopg
from flask import Flask
from psycopg.rows import dict_row

from gateway.services.entitlements.lookup import FIND_ONE

app = Flask("bare_plan", static_folder=None)
_local = threading.local()


@app.get("/v1/organizations/<organization_id>/entitlements")
def show(organization_id: str) -> dict[str, Any]:
    """Return the organization's row of the plan table."""
    if not hasattr(_local, "connection"):
        _local.connection = psycopg.connect(os.environ["GATEWAY_DATABASE_URL"], autocommit=True)
    cursor = psycopg.RawCursor(_local.connection, row_factory=dict_row)
    found: dict[str, Any] | None = cursor.execute(FIND_ONE.sql, [organization_id]).fetchone()
    return found or {}
