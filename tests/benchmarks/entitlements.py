"""Measures how fast the gateway answers what an organization may use. The yardstick is a bare view with its SELECT."""

import statistics
from datetime import UTC, datetime

import click

from gateway.auth import issue_development_token
from gateway.config import Config
from tests.benchmarks.load import fire
from tests.benchmarks.rig import Rig, rig

CONNECTIONS = (1, 8)
COUNT, RUNS = 1_000, 5
ORGANIZATIONS = 1_000
FILL = """
    INSERT INTO organizations (id, created_at) SELECT 'org_' || n, now() FROM generate_series(1, %(count)s) AS n;
    INSERT INTO organization_plans (organization_id, plan, requested_plan, status, standing, quantity, as_of, version)
        SELECT 'org_' || n, 'plus', 'plus', 'active', 'good', 2, now(), 1 FROM generate_series(1, %(count)s) AS n;
    ANALYZE"""


def requests(token: str) -> list[bytes]:
    """Return the requests of a service for the entitlements of all organizations, one after the other."""
    path = "GET /v1/organizations/org_{}/entitlements HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {}\r\n\r\n"
    return [path.format(1 + number % ORGANIZATIONS, token).encode() for number in range(COUNT)]


def measure(parts: Rig) -> None:
    """Alternate between the gateway and the bare view, so that both meet the same load on the machine."""
    config = Config(
        database_url=parts.url,
        stripe_secret_key="sk_test_benchmark",
        jwt_development_secret=parts.environment["GATEWAY_JWT_DEVELOPMENT_SECRET"],
    )
    sent = requests(issue_development_token(config, None, datetime.now(UTC), scopes=("plans:read",)))
    with parts.web("wsgi:app") as gateway, parts.web("tests.benchmarks.bare_plan:app") as flask:
        for connections in CONNECTIONS:
            pairs = [(fire(gateway, sent, connections), fire(flask, sent, connections)) for _ in range(RUNS)]
            rates = [statistics.median(each.rate for each in runs) for runs in zip(*pairs, strict=True)]
            share = statistics.median(ours.rate / bare.rate for ours, bare in pairs)
            p99 = statistics.median(ours.p99 for ours, _ in pairs)
            click.echo(
                f"{connections:>3} connections: {rates[0]:6,.0f}/s, p99 {p99 * 1000:5.1f} ms; "
                f"bare view {rates[1]:6,.0f}/s; rate x{share:.2f} (at least 0.50)"
            )


def main() -> None:
    """Run the benchmark."""
    click.echo(f"Entitlements of {ORGANIZATIONS:,} organizations, medians of {RUNS} runs of {COUNT:,}")
    with rig() as parts:
        parts.environment["GATEWAY_RATE_LIMIT_FACTOR"] = "1000"  # one service sends them all
        with parts.connect() as connection:
            for statement in FILL.split(";"):
                connection.execute(statement, {"count": ORGANIZATIONS} if "%" in statement else None)
        measure(parts)


if __name__ == "__main__":
    main()
