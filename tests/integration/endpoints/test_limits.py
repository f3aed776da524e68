"""Requests are limited by organization, by user and by address, and every answer says what remains."""

from collections.abc import Iterator
from dataclasses import replace

import jwt
import pytest
from flask import Flask
from sqlalchemy import text
from werkzeug.test import TestResponse

from gateway.app import build_gateway, create_app
from gateway.db.models import RateLimitCount
from gateway.endpoints import limits
from gateway.endpoints.request_context import EXTENSION
from gateway.services.rate_limits.table import LIMITS, Limits, RouteClass
from tests.support.api import problem_of
from tests.support.world import World

PUBLIC, OTHER, PRIVATE = "8.8.8.8", "9.9.9.9", "10.0.0.1"
UNLIMITED_ROUTES = {"/health/live", "/health/ready", "/v1/openapi.json", "/docs", "/docs/<name>"}
UNLIMITED_ROUTES |= {"/billing", "/billing/static/<path:name>", "/billing/theme/<path:name>"}


class Web:
    """The application of a world, with few requests a minute."""

    def __init__(self, world: World, app: Flask) -> None:
        self.app = app
        self._world = world

    def __call__(
        self,
        method: str,
        path: str,
        organization: str = "org_1",
        user: str = "ada",
        address: str = PRIVATE,
        scope: str = "billing:read billing:write",
    ) -> TestResponse:
        config = self._world.gateway.config
        claims = {
            "iss": config.jwt_issuer,
            "aud": config.jwt_audience,
            "sub": user,
            "organization_id": organization,
            "scope": scope,
            "exp": 4_000_000_000,
        }
        token = jwt.encode(claims, config.jwt_development_secret or "", "HS256")
        headers = {"Authorization": f"Bearer {token}", "X-Forwarded-For": address}
        return self.app.test_client().open(path, method=method, headers=headers)


@pytest.fixture
def web(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    few = Limits(organization="4/minute", user="2/minute", address="6/minute")
    hard = Limits(organization="1/hour; 1/day", user=None, address=None)
    monkeypatch.setattr(limits, "LIMITS", dict.fromkeys(LIMITS, few) | {RouteClass.NEW_CARD: hard})
    config = replace(world.gateway.config, rate_limit_factor=1, trusted_proxies=1)
    app = create_app(build_gateway(config))
    yield Web(world, app)
    app.extensions[EXTENSION].close()


def test_every_route_of_the_interface_declares_its_class(web: Web) -> None:
    unlimited = {
        rule.rule
        for rule in web.app.url_map.iter_rules()
        if getattr(web.app.view_functions[rule.endpoint], limits.ATTRIBUTE, None) is None
    }
    assert unlimited <= UNLIMITED_ROUTES


@pytest.mark.parametrize("path", ["/v1/plans", "/v1/payment-methods"], ids=["in memory", "in PostgreSQL"])
def test_user_organization_and_address_each_have_a_limit(web: Web, path: str) -> None:
    assert [web("GET", path, user="ada", address=PUBLIC).status_code for _ in range(3)] == [200, 200, 429]
    # Each of the three has counted against the organization, which has one request left.
    assert [web("GET", path, user=user, address=OTHER).status_code for user in ("bob", "eve")] == [200, 429]
    others = [web("GET", path, f"org_{user}", user, PUBLIC).status_code for user in ("fay", "gus", "hal", "ida")]
    assert others == [200, 200, 200, 429]
    assert web("GET", path, "org_jim", "jim", OTHER).status_code == 200


def test_an_answer_says_what_remains(web: Web) -> None:
    answer = web("GET", "/v1/payment-methods", address=PUBLIC)
    assert answer.headers["RateLimit-Policy"] == (
        '"stripe-organization-minute";q=4;w=60, "stripe-user-minute";q=2;w=60, "stripe-address-minute";q=6;w=60'
    )
    remaining = [each.partition(";t=")[0] for each in answer.headers["RateLimit"].split(", ")]
    assert remaining == ['"stripe-organization-minute";r=3', '"stripe-user-minute";r=1', '"stripe-address-minute";r=5']
    assert "Retry-After" not in answer.headers


def test_a_refusal_is_a_problem_with_the_longest_wait(web: Web) -> None:
    web("POST", "/v1/billing-details/setup-intent")
    refused = web("POST", "/v1/billing-details/setup-intent")
    assert problem_of(refused) == (429, "rate_limited")
    assert 86_000 < int(refused.headers["Retry-After"]) <= 86_400
    assert '"new_card-organization-hour";r=0' in refused.headers["RateLimit"]


def test_the_limits_of_two_applications_are_the_same_ones(web: Web, world: World) -> None:
    machine = create_app(build_gateway(replace(world.gateway.config, rate_limit_factor=1, trusted_proxies=1)))
    machines = [web, Web(world, machine)]
    statuses = [machines[number % 2]("GET", "/v1/payment-methods").status_code for number in range(4)]
    machine.extensions[EXTENSION].close()
    assert statuses == [200, 200, 429, 429]


def test_a_read_writes_nothing(web: Web, world: World) -> None:
    assert web("GET", "/v1/subscription", address=PUBLIC).status_code == 200
    assert world.rows(RateLimitCount) == []


def test_no_row_names_a_person(web: Web, world: World) -> None:
    web("GET", "/v1/payment-methods", user="ada@example.test", address=PUBLIC)
    keys = " ".join(row.key for row in world.rows(RateLimitCount))
    assert len(world.rows(RateLimitCount)) == 3
    assert not [word for word in ("ada", PUBLIC, "org_1") if word in keys]


def test_addresses_of_our_own_servers_are_not_limited(web: Web) -> None:
    for number in range(8):
        assert web("GET", "/v1/plans", f"org_{number}", f"user_{number}", PRIVATE).status_code == 200


def test_an_ipv6_network_counts_as_one_address(web: Web) -> None:
    addresses = [f"2606:4700:1:2::{number}" for number in range(7)]
    answers = [web("GET", "/v1/plans", f"org_{each}", f"user_{each}", each).status_code for each in addresses]
    assert answers == [200] * 6 + [429]
    assert web("GET", "/v1/plans", "org_other", "other", "2606:4700:1:3::1").status_code == 200


def test_only_the_trusted_proxys_part_of_the_header_counts(web: Web) -> None:
    answers = [
        web("GET", "/v1/plans", f"org_{number}", f"user_{number}", f"1.1.1.{number}, {PUBLIC}") for number in range(7)
    ]
    assert [answer.status_code for answer in answers] == [200] * 6 + [429]


def test_a_service_has_limits_of_its_own(web: Web) -> None:
    service = web("GET", "/v1/plans", scope="billing:read plans:read")
    assert service.headers["RateLimit-Policy"].startswith('"service-organization-minute"')
    calling = web("GET", "/v1/payment-methods", scope="billing:read plans:read")
    assert calling.headers["RateLimit-Policy"].startswith('"stripe-organization-minute"')


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/metrics", "/v1/openapi.json", "/v1/nowhere"])
def test_other_paths_have_no_limit_and_need_no_token(web: Web, path: str) -> None:
    answers = [web.app.test_client().get(path) for _ in range(10)]
    assert {answer.status_code for answer in answers} <= {200, 404}
    assert all("RateLimit" not in answer.headers for answer in answers)


def test_webhooks_have_no_limit(web: Web) -> None:
    answers = [web.app.test_client().post("/webhooks/stripe", data=b"{}") for _ in range(10)]
    assert {answer.status_code for answer in answers} == {400}


def test_a_request_without_a_token_is_401_and_not_counted(web: Web, world: World) -> None:
    assert problem_of(web.app.test_client().get("/v1/payment-methods")) == (401, "unauthorized")
    assert world.rows(RateLimitCount) == []
    assert web.app.test_client().options("/v1/payment-methods").status_code == 200


def test_without_the_storage_reads_go_on_and_the_rest_is_503(web: Web, world: World) -> None:
    with world.gateway.database.transaction() as session:
        session.execute(text("ALTER TABLE rate_limit_counts RENAME TO elsewhere"))
    try:
        assert web("GET", "/v1/plans").status_code == 200
        assert problem_of(web("POST", "/v1/subscription/preview")) == (503, "database_unavailable")
        assert problem_of(web("DELETE", "/v1/subscription")) == (503, "database_unavailable")
    finally:
        with world.gateway.database.transaction() as session:
            session.execute(text("ALTER TABLE elsewhere RENAME TO rate_limit_counts"))


def test_with_the_database_away_nothing_is_500(world: World) -> None:
    away = replace(world.gateway.config, database_url="postgresql://gateway@127.0.0.1:1/x")
    app = create_app(build_gateway(away))
    web = Web(world, app)
    for method, path in (("GET", "/v1/plans"), ("GET", "/v1/payment-methods"), ("DELETE", "/v1/subscription")):
        assert problem_of(web(method, path)) == (503, "database_unavailable")
    app.extensions[EXTENSION].close()


def test_caller_that_is_not_unicode_is_counted(world: World) -> None:
    assert world.api("org_\ud800").problem("GET", "/subscription") == (403, "forbidden")
