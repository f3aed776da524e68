"""An organization has one billing operation in flight. Others wait or are refused."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime

import pytest
import stripe
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from gateway.app import build_gateway
from gateway.db.models import BillingIntent, PaymentMethod, PlanChange
from gateway.errors import StripeNotCalled
from gateway.services.intents import reservation
from gateway.services.intents.reservation import Kind, reserve
from gateway.services.plan_changes.request import write_intent
from schemas.changes import ChangeCommand
from tests.support.api import ApiClient, problem_of
from tests.support.billing_operations import bill, card_of, finish, hold, in_flight, let_go, upgrade_that_waits
from tests.support.world import CALLER, World

IN_PROGRESS = (409, "change_in_progress")
NOW = datetime.now(UTC)
DETACH, CHOOSE, PAY = "/v1/payment_methods/*/detach", "/v1/customers/*", "/v1/invoices/*/pay"


@pytest.fixture
def waiting(world: World, api: ApiClient) -> PlanChange:
    return upgrade_that_waits(world, api)


def test_each_operation_is_refused_while_a_plan_change_is_in_flight(world: World, api: ApiClient) -> None:
    api.ok("PATCH", "/subscription", plan="plus")
    card, invoice = card_of(world), bill(world)
    change_id = write_intent(world.gateway, CALLER, ChangeCommand(plan="free"), None).change_id
    for method, path, body in (
        ("DELETE", f"/payment-methods/{card}", {}),
        ("PUT", "/payment-methods/default", {"payment_method": card}),
        ("POST", f"/invoices/{invoice}/pay", {}),
    ):
        answer = api(method, path, **body)
        assert problem_of(answer) == IN_PROGRESS
        assert answer.headers["Location"] == f"/v1/subscription/changes/{change_id}"
    assert in_flight(world) == []


def test_waiting_change_may_only_be_paid_or_abandoned(world: World, api: ApiClient, waiting: PlanChange) -> None:
    card, invoice = world.rows(PaymentMethod)[0].id, bill(world)
    assert api.problem("DELETE", f"/payment-methods/{card}") == IN_PROGRESS
    assert api.problem("PUT", "/payment-methods/default", payment_method=card) == IN_PROGRESS
    assert api.problem("POST", f"/invoices/{invoice}/pay") == IN_PROGRESS
    own = f"/invoices/{waiting.pending_invoice_id}/pay"
    assert api.problem("POST", own) == (402, "payment_action_required")
    assert api.ok("DELETE", f"/subscription/changes/{waiting.id}")["state"] == "abandoned"
    assert in_flight(world) == []


def test_operation_that_lasts_is_409_for_every_other_one(
    world: World, api: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = card_of(world)
    hold(world, Kind.SET_DEFAULT_PAYMENT_METHOD, card)
    monkeypatch.setattr(reservation, "LONGEST_WAIT", 0.1)
    assert api.problem("POST", "/subscription", plan="plus", payment_method=card) == IN_PROGRESS
    invoice = bill(world)
    assert api.problem("DELETE", f"/payment-methods/{card}") == IN_PROGRESS
    assert api.problem("PUT", "/payment-methods/default", payment_method=card) == IN_PROGRESS
    assert api.problem("POST", f"/invoices/{invoice}/pay") == IN_PROGRESS
    assert api.problem("PATCH", "/subscription", plan="plus") == IN_PROGRESS
    assert api.problem("DELETE", "/subscription") == IN_PROGRESS


def test_abandonment_waits_for_the_payment_in_flight(
    world: World, api: ApiClient, waiting: PlanChange, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert waiting.pending_invoice_id is not None
    hold(world, Kind.PAY_INVOICE, waiting.pending_invoice_id)
    monkeypatch.setattr(reservation, "LONGEST_WAIT", 0.1)
    assert api.problem("DELETE", f"/subscription/changes/{waiting.id}") == IN_PROGRESS


def test_upgrade_waits_for_an_operation_and_is_checked_after_it(world: World, api: ApiClient) -> None:
    card = card_of(world)
    intent = hold(world, Kind.DELETE_PAYMENT_METHOD, card)
    token = world.token()

    def upgrade() -> tuple[int, str]:
        return ApiClient(world.client.application.test_client(), token).problem("PATCH", "/subscription", plan="plus")

    with ThreadPoolExecutor(1) as other:
        upgraded = other.submit(upgrade)
        finish(world, intent.id)
        assert upgraded.result() == (402, "payment_method_required")
    assert api.ok("GET", "/subscription")["plan"] == "free"


def test_another_organization_does_not_wait(world: World) -> None:
    other = world.api("org_2")
    other.ok("POST", "/subscription", plan="free")
    first = other.add_card(world.stripe)
    world.api().ok("POST", "/subscription", plan="free")
    hold(world, Kind.PAY_INVOICE, "in_of_org_1")
    assert other("DELETE", f"/payment-methods/{first}").status_code == 204


def test_database_refuses_an_intent_beside_a_change(world: World, api: ApiClient) -> None:
    write_intent(world.gateway, CALLER, ChangeCommand(plan="plus"), None)
    with pytest.raises(IntegrityError, match="is in flight"), world.gateway.database.transaction() as session:
        session.execute(insert(BillingIntent).values(row("pay_invoice", "in_1")))
    assert api.problem("PATCH", "/subscription", plan="plus") == IN_PROGRESS


def test_database_refuses_a_change_beside_an_intent(world: World, api: ApiClient) -> None:
    hold(world, Kind.DELETE_PAYMENT_METHOD, card_of(world))
    columns = {
        "from_plan": "free",
        "to_plan": "plus",
        "quantity": 1,
        "actor": "test",
        "created_at": world.gateway.clock(),
    }
    change = {"id": "chg_1", "organization_id": "org_1", "state": "requested", **columns}
    with pytest.raises(IntegrityError, match="is in flight"), world.gateway.database.transaction() as session:
        session.execute(insert(PlanChange).values(change))
    let_go(world)
    assert api.ok("PATCH", "/subscription", plan="plus")["state"] == "applied"


@pytest.mark.parametrize("kind", ["delete_payment_method", "pay_invoice", "abandon_change"])
def test_database_allows_only_the_end_of_a_change_that_waits(world: World, waiting: PlanChange, kind: str) -> None:
    with pytest.raises(IntegrityError, match="is in flight"), world.gateway.database.transaction() as session:
        session.execute(insert(BillingIntent).values(row(kind, "another")))
    own = {"pay_invoice": waiting.pending_invoice_id, "abandon_change": waiting.id}
    if kind in own:
        with world.gateway.database.transaction() as session:
            session.execute(insert(BillingIntent).values(row(kind, str(own[kind]))))


def row(kind: str, object_id: str) -> dict[str, object]:
    """Return an intent as a program without our checks would write it."""
    values = {"organization_id": "org_1", "id": "intent_1", "kind": kind, "object_id": object_id}
    return {**values, "created_at": NOW}


def test_operation_that_cannot_be_sent_is_not_reserved(world: World, api: ApiClient) -> None:
    card = card_of(world)
    refusing = build_gateway(world.gateway.config)
    for _ in range(5):
        with suppress(stripe.APIConnectionError), refusing.gate.attempt():
            raise stripe.APIConnectionError("hung", should_retry=True)  # type: ignore[no-untyped-call]  # untyped in the SDK
    refusing.gate.begin_request()
    with pytest.raises(StripeNotCalled):
        reserve(refusing, "org_1", Kind.DELETE_PAYMENT_METHOD, card, lambda _: True)
    refusing.gate.end_request()
    refusing.database.close()
    assert in_flight(world) == []
    assert api("DELETE", f"/payment-methods/{card}").status_code == 204
