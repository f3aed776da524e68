"""A job completes the billing operation of a request that died or got no answer, and Stripe acts once."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from structlog.testing import capture_logs

from gateway.app import build_gateway, create_app
from gateway.db import jobs
from gateway.db.models import BillingIntent, Invoice, Organization, PaymentMethod, PlanChange, RateLimitCount
from gateway.endpoints.request_context import EXTENSION
from gateway.errors import StripeUnavailable
from gateway.services.intents.reservation import Kind
from gateway.stripe_api import client
from gateway.stripe_api.idempotency_keys import KEY_LIFETIME
from tests.support.api import ApiClient
from tests.support.billing_operations import (
    bill,
    card_of,
    charges,
    finish,
    hold,
    in_flight,
    job_count,
    upgrade_that_waits,
)
from tests.support.payment_methods import MASTERCARD, attach, customer_of
from tests.support.wait import eventually
from tests.support.world import NOWHERE, World

IN_PROGRESS = (409, "change_in_progress")
NOW = datetime.now(UTC)
DETACH, CHOOSE, PAY = "/v1/payment_methods/*/detach", "/v1/customers/*", "/v1/invoices/*/pay"


@pytest.fixture
def losing(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[ApiClient]:
    """Yield the interface of a gateway that never retries a call, so that an answer can be lost."""
    with monkeypatch.context() as patch:
        patch.setattr(client, "MAX_NETWORK_RETRIES", 0)
        gateway = build_gateway(world.gateway.config)
    app = create_app(gateway)
    yield ApiClient(app.test_client(), world.token())
    app.extensions[EXTENSION].close()


@pytest.fixture
def waiting(world: World, api: ApiClient) -> PlanChange:
    return upgrade_that_waits(world, api)


def test_job_carries_out_each_operation(world: World, api: ApiClient, waiting: PlanChange) -> None:
    finish(world, hold(world, Kind.ABANDON_CHANGE, waiting.id).id)
    assert api.ok("GET", f"/subscription/changes/{waiting.id}")["state"] == "abandoned"
    other = attach(world)
    finish(world, hold(world, Kind.SET_DEFAULT_PAYMENT_METHOD, other).id)
    assert world.rows(Organization)[0].default_payment_method_id == other
    invoice = bill(world)
    finish(world, hold(world, Kind.PAY_INVOICE, invoice).id)
    assert api.ok("GET", f"/invoices/{invoice}")["status"] == "paid"
    finish(world, hold(world, Kind.DELETE_PAYMENT_METHOD, other).id)
    assert other not in [each["id"] for each in api.ok("GET", "/payment-methods")["data"]]
    assert in_flight(world) == []


def test_lost_answer_is_503_and_the_job_repeats_the_call(world: World, api: ApiClient, losing: ApiClient) -> None:
    invoice = bill(world)
    world.fault("response_lost", method="POST", path=PAY)
    assert losing.problem("POST", f"/invoices/{invoice}/pay") == (503, "stripe_unavailable")
    [intent] = world.rows(BillingIntent)
    assert job_count(world, jobs.FINISH_INTENT) > 0
    finish(world, intent.id)
    assert charges(world) == [700]
    assert api.ok("POST", f"/invoices/{invoice}/pay")["status"] == "paid"
    assert in_flight(world) == []


def test_repeated_payment_charges_the_same_card(world: World, api: ApiClient, losing: ApiClient) -> None:
    invoice, card = bill(world), card_of(world)
    world.fault("response_lost", method="POST", path=PAY)
    assert losing.problem("POST", f"/invoices/{invoice}/pay") == (503, "stripe_unavailable")
    other = attach(world, MASTERCARD)
    world.stripe.v1.customers.update(customer_of(world), {"invoice_settings": {"default_payment_method": other}})
    world.settle()
    [intent] = world.rows(BillingIntent)
    with capture_logs() as logs:
        finish(world, intent.id)
    assert [entry["event"] for entry in logs if entry["event"] == "billing_intent_refused"] == []
    assert [each.payment_method for each in world.stripe.v1.charges.list()] == [card]
    assert api.ok("GET", f"/invoices/{invoice}")["status"] == "paid"


@pytest.mark.usefixtures("api")
@pytest.mark.parametrize("path", [DETACH, CHOOSE])
def test_job_repeats_a_card_call_whose_answer_was_lost(world: World, losing: ApiClient, path: str) -> None:
    card = card_of(world)
    world.fault("response_lost", method="POST", path=path)
    request = ("DELETE", f"/payment-methods/{card}") if path == DETACH else ("PUT", "/payment-methods/default")
    body = {} if path == DETACH else {"payment_method": card}
    assert losing.problem(*request, **body) == (503, "stripe_unavailable")
    [intent] = world.rows(BillingIntent)
    finish(world, intent.id)
    [mirrored] = world.rows(PaymentMethod)
    assert mirrored.detached == (path == DETACH)
    assert in_flight(world) == []


def test_500_that_stripe_keeps_is_settled_immediately(world: World, api: ApiClient) -> None:
    card = card_of(world)
    world.fault("webhook_dropped", times=100)
    world.fault("error_after", method="POST", path=DETACH)
    assert api.problem("DELETE", f"/payment-methods/{card}") == (503, "stripe_unavailable")
    assert in_flight(world) == []
    assert [each.detached for each in world.rows(PaymentMethod)] == [True]
    assert api.problem("PATCH", "/subscription", plan="plus") == (402, "payment_method_required")


def test_job_leaves_the_intent_while_stripe_is_away(world: World, api: ApiClient) -> None:
    intent = hold(world, Kind.SET_DEFAULT_PAYMENT_METHOD, card_of(world))
    broken = build_gateway(replace(world.gateway.config, stripe_api_base=NOWHERE))
    with pytest.raises(StripeUnavailable):
        finish(world, intent.id, broken)
    broken.database.close()
    assert in_flight(world) == ["set_default_payment_method"]
    finish(world, intent.id)
    assert api.ok("PATCH", "/subscription", plan="plus")["state"] == "applied"


def test_job_ends_an_operation_that_stripe_refuses(world: World, api: ApiClient) -> None:
    invoice = bill(world)
    api.add_card(world.stripe, "pm_card_chargeCustomerFail")
    intent = hold(world, Kind.PAY_INVOICE, invoice)
    with capture_logs() as logs:
        finish(world, intent.id)
    assert [entry["code"] for entry in logs if entry["event"] == "billing_intent_refused"] == ["card_declined"]
    assert in_flight(world) == []


def test_decline_in_the_job_counts_against_the_limit(world: World, api: ApiClient) -> None:
    invoice = bill(world)
    api.add_card(world.stripe, "pm_card_chargeCustomerFail")
    finish(world, hold(world, Kind.PAY_INVOICE, invoice).id)
    assert [row.count for row in world.rows(RateLimitCount) if "declines" in row.key] == [1, 1]


def test_too_old_intent_is_given_up_and_refreshed(world: World) -> None:
    world.api().ok("POST", "/subscription", plan="free")
    world.api().add_card(world.stripe)
    card = card_of(world)
    intent = hold(world, Kind.DELETE_PAYMENT_METHOD, card)
    world.fault("webhook_dropped", times=100)
    world.stripe.v1.payment_methods.detach(card)
    late = replace(world.gateway, clock=lambda: intent.created_at + KEY_LIFETIME + timedelta(seconds=1))
    finish(world, intent.id, late)
    assert in_flight(world) == []
    world.work()
    assert [each.detached for each in world.rows(PaymentMethod)] == [True]


def test_job_whose_intent_is_over_does_nothing(world: World, api: ApiClient) -> None:
    intent = hold(world, Kind.PAY_INVOICE, bill(world))
    finish(world, intent.id)
    finish(world, intent.id)
    assert charges(world) == [700]
    assert api.ok("GET", "/subscription")["plan"] == "free"


def test_request_and_job_at_the_same_moment_charge_once(world: World, api: ApiClient) -> None:
    invoice = bill(world)
    world.fault("delay", method="POST", path=PAY, seconds=0.3)
    token = world.token()

    def pay() -> int:
        browser = world.client.application.test_client()
        return ApiClient(browser, token)("POST", f"/invoices/{invoice}/pay").status_code

    with ThreadPoolExecutor(1) as other:
        paid = other.submit(pay)
        eventually(lambda: in_flight(world) != [])
        with suppress(StripeUnavailable):  # Stripe may say that the key is in use
            finish(world, world.rows(BillingIntent)[0].id)
        assert paid.result() == 200
    assert charges(world) == [700]
    assert [each.status for each in world.rows(Invoice) if each.id == invoice] == ["paid"]
    assert api.ok("GET", f"/invoices/{invoice}")["status"] == "paid"
