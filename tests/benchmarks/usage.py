"""Measures how many usage events a second the gateway stores, with an empty table and with ten million events."""

import statistics
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime

import click
import orjson
import psycopg

from gateway.auth import issue_development_token
from gateway.config import Config
from tests.benchmarks.filled import QUICKLY, with_organizations
from tests.benchmarks.load import fire
from tests.benchmarks.rig import Rig, rig

BATCH, BATCHES, RUNS = 1_000, 60, 5
CONNECTIONS = 4
ORGANIZATIONS = 200
STORED = 10_000_000
TARGET = 5_000  # events a second
FILL = """
    INSERT INTO usage_events (id, organization_id, meter, quantity, occurred_at, report_id)
    SELECT gen_random_uuid()::text, 'org_' || n %% 200, 'api_calls', 1, now() - n * interval '0.2 seconds',
        md5((n / 100)::text)::uuid FROM generate_series(1, %s) AS n"""


def build_requests(token: str) -> Iterator[bytes]:
    """Yield requests with a batch of new events each, as services with random ids send them."""
    now = datetime.now(UTC).isoformat()
    head = f"POST /v1/usage HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json"
    for _ in range(BATCHES):
        events = [
            {
                "id": str(uuid.uuid4()),
                "organization_id": f"org_{number % ORGANIZATIONS}",
                "meter": "api_calls",
                "quantity": 1,
                "occurred_at": now,
            }
            for number in range(BATCH)
        ]
        body = orjson.dumps({"events": events})
        yield f"{head}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def measure(parts: Rig, token: str, port: int, label: str) -> float:
    """Print the rate of several runs, and how many events the reports hold then. Return the median rate."""
    runs = [fire(port, list(build_requests(token)), CONNECTIONS) for _ in range(RUNS)]
    rates = sorted(each.rate * BATCH for each in runs)
    p99 = statistics.median(each.p99 for each in runs)
    with parts.connect() as connection:
        counted = connection.execute("SELECT sum(quantity) FROM usage_reports").fetchone()
    median = statistics.median(rates)
    click.echo(
        f"{label:>18}: {median:7,.0f} events/s (at least {TARGET:,}; {rates[0]:,.0f} to "
        f"{rates[-1]:,.0f}), p99 {p99 * 1000:5.0f} ms for {BATCH:,}; reports hold {counted[0] if counted else 0:,}"
    )
    return median


def fill(connection: psycopg.Connection) -> None:
    """Store ten million events, as a month of usage would."""
    connection.execute(QUICKLY)
    connection.execute("ALTER TABLE usage_events DROP CONSTRAINT pk_usage_events")
    psycopg.ClientCursor(connection).execute(FILL, (STORED,))
    connection.execute("ALTER TABLE usage_events ADD CONSTRAINT pk_usage_events PRIMARY KEY (id)")
    connection.execute("VACUUM ANALYZE usage_events")
    connection.execute("CHECKPOINT")


def main() -> None:
    """Run the benchmark."""
    click.echo(f"Usage of {ORGANIZATIONS:,} organizations, {RUNS} runs of {BATCHES * BATCH:,} events")
    with rig() as parts:
        parts.environment["GATEWAY_RATE_LIMIT_FACTOR"] = "1000"  # one service sends them all
        config = Config(
            database_url=parts.url,
            stripe_secret_key="sk_test_benchmark",
            jwt_development_secret=parts.environment["GATEWAY_JWT_DEVELOPMENT_SECRET"],
        )
        token = issue_development_token(config, None, datetime.now(UTC), scopes=("usage:write",))
        with parts.connect() as connection:
            with_organizations(connection, ORGANIZATIONS)
        with parts.web("wsgi:app") as port:
            empty = measure(parts, token, port, "empty table")
            with parts.connect() as connection:
                fill(connection)
            full = measure(parts, token, port, "ten million stored")
        click.echo(f"{'ratio':>18}: {full / empty:7.2f}")


if __name__ == "__main__":
    main()
