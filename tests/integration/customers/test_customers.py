"""Each organization gets one Stripe customer, despite races, crashes, lost answers and expired keys."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import jwt
import pytest
from sqlalchemy import text

from gateway.db.models import Organization
from gateway.errors import StripeRejected, StripeUnavailable
from gateway.services.customers.customer import create_customer, ensure_customer
from gateway.services.runtime import Caller, Gateway
from tests.support.api import ApiClient
from tests.support.commands import build_environment
from tests.support.wait import eventually
from tests.support.world import World

CALLER = Caller(organization_id="org_1", actor="test", name="Ada", email="ada@example.test")


def customers(world: World) -> list[str]:
    """Return the ids of Stripe's customers."""
    return [each.id for each in world.stripe.v1.customers.list({"limit": 100}).data]


def later(gateway: Gateway, **time: int) -> Gateway:
    """Return the gateway with its clock set ahead."""
    return replace(gateway, clock=lambda: gateway.clock() + timedelta(**time))


def lose_every_webhook(world: World) -> None:
    """Make Stripe drop all further webhooks."""
    world.fault("webhook_dropped", times=1000)


def linked(world: World) -> str | None:
    return world.rows(Organization)[0].stripe_customer_id


def store_organization(world: World, email: str) -> Organization:
    """Store the organization with an email address, as happens right before its customer is created."""
    now = world.gateway.clock()
    with world.gateway.database.transaction() as session:
        organization = Organization(id="org_1", name="Ada", email=email, created_at=now, customer_key_since=now)
        session.add(organization)
    return organization


def emails(world: World) -> list[str | None]:
    """Return the email addresses of Stripe's customers."""
    return [each.email for each in world.stripe.v1.customers.list({"limit": 100}).data]


def test_concurrent_calls_make_one_customer(world: World) -> None:
    lose_every_webhook(world)
    world.fault("delay", method="POST", path="/v1/customers", seconds=0.2)
    with ThreadPoolExecutor(8) as threads:
        ids = set(threads.map(lambda _: ensure_customer(world.gateway, CALLER), range(16)))
    assert ids == set(customers(world))
    assert len(ids) == 1


def test_a_process_killed_in_the_call_leaves_no_second_customer(world: World) -> None:
    lose_every_webhook(world)
    world.fault("delay", method="POST", path="/v1/customers", seconds=30)
    code = (
        "from gateway.app import build_from_environment;"
        "from gateway.services.customers.customer import ensure_customer;"
        "from gateway.services.runtime import Caller; from gateway.commands.loading import STRIPE;"
        "gateway = build_from_environment(STRIPE);"
        "ensure_customer(gateway, Caller(organization_id='org_1', actor='t', name='Ada', email='ada@example.test'))"
    )
    environment = {**os.environ, **build_environment(world.gateway.config)}
    process = subprocess.Popen([sys.executable, "-c", code], env=environment)
    eventually(lambda: world.faults()[-1]["fired"] == 1, seconds=30)
    process.kill()
    process.wait()
    assert linked(world) is None
    world.end_faults()  # Stripe now carries out the call of the dead process
    lose_every_webhook(world)
    eventually(lambda: len(customers(world)) == 1)
    assert [ensure_customer(world.gateway, CALLER)] == customers(world)


def test_a_lost_answer_leaves_no_second_customer(world: World) -> None:
    lose_every_webhook(world)
    world.fault("response_lost", method="POST", path="/v1/customers")
    assert [ensure_customer(world.gateway, CALLER)] == customers(world)


@pytest.mark.parametrize("kind", ["error_before", "error_after"])
def test_500_that_stripe_would_repeat_leaves_one_customer(world: World, kind: str) -> None:
    lose_every_webhook(world)
    world.fault(kind, method="POST", path="/v1/customers")
    with pytest.raises(StripeUnavailable):
        ensure_customer(world.gateway, CALLER)
    assert [ensure_customer(world.gateway, CALLER)] == customers(world)
    assert linked(world) == customers(world)[0]


def test_expired_idempotency_key_is_not_reused(world: World) -> None:
    lose_every_webhook(world)
    create_customer(world.gateway, store_organization(world, "ada@example.test"))  # the process dies after the call
    assert [ensure_customer(later(world.gateway, hours=25), CALLER)] == customers(world)
    assert world.rows(Organization)[0].customer_key == 1


def test_webhook_alone_links_the_customer(world: World) -> None:
    world.fault("error_after", method="POST", path="/v1/customers")
    with pytest.raises(StripeUnavailable):
        ensure_customer(world.gateway, CALLER)
    world.settle()
    assert [linked(world)] == customers(world)


def test_another_organizations_customer_is_not_used(world: World) -> None:
    lose_every_webhook(world)
    other = ensure_customer(world.gateway, replace(CALLER, organization_id="org_2"))
    world.fault("error_before", method="POST", path="/v1/customers")
    with pytest.raises(StripeUnavailable):
        ensure_customer(world.gateway, CALLER)
    assert ensure_customer(world.gateway, CALLER) != other
    with world.gateway.database.transaction() as session:
        assert session.scalar(text("SELECT count(DISTINCT stripe_customer_id) FROM organizations")) == 2


@pytest.mark.parametrize("email", ["nobody", f"{'a' * 510}@b.example", '"a@b"@example.test'])
def test_invalid_email_in_the_token_is_dropped_for_good(world: World, email: str) -> None:
    claims = jwt.decode(world.token(), options={"verify_signature": False})
    for each in (email, "right@example.test"):
        token = jwt.encode({**claims, "email": each}, world.gateway.config.jwt_development_secret or "")
        ApiClient(world.client, token).ok("POST", "/billing-details/setup-intent")
    assert emails(world) == [None]
    assert [row.email for row in world.rows(Organization)] == [None]


@pytest.mark.parametrize("email", ["nobody", f"{'a' * 510}@b.example"])
def test_email_that_stripe_refused_does_not_block_the_customer(world: World, email: str) -> None:
    lose_every_webhook(world)
    with pytest.raises(StripeRejected):  # under this key, Stripe repeats the refusal and accepts no other parameters
        create_customer(world.gateway, store_organization(world, email))
    assert [ensure_customer(world.gateway, CALLER)] == customers(world)
    assert (emails(world), world.rows(Organization)[0].email) == ([None], None)


def test_concurrent_calls_without_the_email_make_one_customer(world: World) -> None:
    lose_every_webhook(world)
    store_organization(world, "nobody")
    world.fault("delay", method="POST", path="/v1/customers", seconds=0.2)
    with ThreadPoolExecutor(8) as threads:
        ids = set(threads.map(lambda _: ensure_customer(world.gateway, CALLER), range(16)))
    assert ids == set(customers(world))
    assert len(ids) == 1


def test_lost_answer_without_the_email_leaves_no_second_customer(world: World) -> None:
    lose_every_webhook(world)
    store_organization(world, "nobody")
    world.fault("error_after", method="POST", path="/v1/customers", skip=1)
    with pytest.raises(StripeUnavailable):
        ensure_customer(world.gateway, CALLER)
    assert [ensure_customer(world.gateway, CALLER)] == customers(world)


def test_refusal_for_another_reason_keeps_the_email(world: World) -> None:
    store_organization(world, "ada@example.test")
    world.stripe.v1.customers.create({"name": "Other"}, {"idempotency_key": "customer:org_1:0"})
    with pytest.raises(StripeRejected):
        ensure_customer(world.gateway, CALLER)
    [organization] = world.rows(Organization)
    assert (organization.email, organization.customer_key) == ("ada@example.test", 0)
