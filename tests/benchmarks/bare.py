"""The yardstick: a Flask view that only checks the signature and executes one INSERT with psycopg.

Gunicorn runs it with the options of ``gateway serve``. It stores the same data as the gateway's inbox.
"""

import os
import threading

import orjson
import psycopg
from flask import Flask, request
from stripe import WebhookSignature

TABLE = """CREATE TABLE IF NOT EXISTS bare_events (
    id text PRIMARY KEY, type text, object_id text, created bigint, api_version text, livemode boolean, payload bytea,
    received_at timestamptz DEFAULT now())"""
INSERT = """INSERT INTO bare_events (id, type, object_id, created, api_version, livemode, payload)
    VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING"""

app = Flask("bare", static_folder=None)
_local = threading.local()


@app.post("/webhooks/stripe")
def receive() -> tuple[str, int]:
    """Check the signature, insert the event and acknowledge it."""
    body = request.get_data(cache=False)
    WebhookSignature.verify_header(body, request.headers["Stripe-Signature"], os.environ["STRIPE_WEBHOOK_SECRETS"], 300)
    event = orjson.loads(body)
    row = (event["id"], event["type"], event["data"]["object"]["id"], event["created"], event["api_version"])
    connection().execute(INSERT, (*row, event["livemode"], body))
    return "", 200


def connection() -> psycopg.Connection:
    """Return the thread's own connection, which commits each statement."""
    if not hasattr(_local, "connection"):
        _local.connection = psycopg.connect(os.environ["GATEWAY_DATABASE_URL"], autocommit=True)
    found: psycopg.Connection = _local.connection
    return found
