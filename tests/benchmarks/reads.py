"""Measures how fast the gateway answers reads. The yardstick is a bare view with one SELECT."""

import statistics
from collections.abc import Sequence
from datetime import UTC, datetime

import click

from gateway.auth import SCOPES, issue_development_token
from gateway.config import Config
from tests.benchmarks.filled import with_organizations
from tests.benchmarks.load import Result, fire
from tests.benchmarks.rig import Rig, rig

CONNECTIONS = (1, 8, 32)
COUNT, RUNS = 600, 5
ORGANIZATIONS = 200
ROUTES = {
    "Plan Details": "/v1/subscription",
    "plans": "/v1/plans",
    "entitlements": "/v1/organizations/org_{}/entitlements",
    "an organization's plan": "/v1/organizations/org_{}/plan",
}


def build_requests(config: Config, path: str) -> list[bytes]:
    """Return the requests of all organizations in turn. A path with an organization's id is one of a service."""
    now = datetime.now(UTC)
    service = issue_development_token(config, None, now, scopes=("plans:read",))
    heads = []
    for number in range(ORGANIZATIONS):
        token = service if "{}" in path else issue_development_token(config, f"org_{number}", now, scopes=SCOPES)
        head = f"GET {path.format(number)} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n\r\n"
        heads.append(head.encode())
    return [heads[number % ORGANIZATIONS] for number in range(COUNT)]


def report(name: str, connections: int, ours: Sequence[Result], bare: Sequence[Result]) -> None:
    """Print one line with the medians of the rates and of their ratios in each run."""
    rate, bare_rate = (statistics.median(each.rate for each in runs) for runs in (ours, bare))
    share = statistics.median(mine.rate / other.rate for mine, other in zip(ours, bare, strict=True))
    spread = statistics.median(each.p99 / statistics.median(each.latencies) for each in ours)
    click.echo(
        f"{name:>22}, {connections:>2} connections: {rate:6,.0f}/s; bare view {bare_rate:6,.0f}/s; "
        f"rate x{share:.2f} (at least 0.50), p99 x{spread:.1f} of the median (at most 5)"
    )


def measure(parts: Rig) -> None:
    """Alternate between the gateway and the bare view, so that both meet the same load on the machine."""
    config = Config(
        database_url=parts.url,
        stripe_secret_key="sk_test_benchmark",
        jwt_development_secret=parts.environment["GATEWAY_JWT_DEVELOPMENT_SECRET"],
    )
    yardstick = build_requests(config, ROUTES["entitlements"])
    with parts.web("wsgi:app") as gateway, parts.web("tests.benchmarks.bare_plan:app") as flask:
        for name, path in ROUTES.items():
            sent = build_requests(config, path)
            fire(gateway, sent, max(CONNECTIONS))  # opens the connections, and verifies the tokens
            for connections in CONNECTIONS:
                pairs = [(fire(gateway, sent, connections), fire(flask, yardstick, connections)) for _ in range(RUNS)]
                report(name, connections, *zip(*pairs, strict=True))


def main() -> None:
    """Run the benchmark."""
    click.echo(f"Reads of {ORGANIZATIONS:,} organizations, medians of {RUNS} runs of {COUNT:,}")
    with rig() as parts:
        parts.environment["GATEWAY_RATE_LIMIT_FACTOR"] = "1000"  # one client sends them all
        with parts.connect() as connection:
            with_organizations(connection, ORGANIZATIONS)
        measure(parts)


if __name__ == "__main__":
    main()
