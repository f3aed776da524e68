"""An operator erases an organization. Its money stays, without names."""

import json
import re
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from gateway.cli import cli
from gateway.db.models import Invoice, WebhookEvent
from gateway.services.grants import add_grant, end_grant
from tests.support.api import ApiClient
from tests.support.payment_methods import customer_of
from tests.support.world import World

pytestmark = pytest.mark.usefixtures("environment")

NAME, EMAIL = "Ada Lovelace", "ada@ada.example"
# Whole words, because a random id may contain the characters of a short one.
PERSONAL = (r"\bAda\b", EMAIL, r"\b4242\b", "development", '"hosted_invoice_url": "http')


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["organizations", *arguments])


def exported() -> str:
    return run("export", "org_1").stdout


def delete_customer(world: World) -> None:
    world.stripe.v1.customers.delete(customer_of(world))
    world.settle()


def use(world: World, api: ApiClient) -> None:
    """Let the organization leave personal data in every table that may hold it."""
    api.ok("PUT", "/billing-details", name=NAME, email=EMAIL, address=None, tax_ids=[])
    api.ok("PATCH", "/subscription", plan="plus")
    api.ok("DELETE", "/subscription", feedback="other", comment="Ada leaves us")
    api.ok("POST", "/sales-inquiries", name=NAME, email=EMAIL, company="Ada's", message="Ada asks")
    until = datetime.now(UTC) + timedelta(days=9)
    add_grant(world.gateway, "org_1", "plus", until=until, reason="Beta for Ada", operator="root")
    end_grant(world.gateway, "org_1", "root")
    world.settle()


def test_erased_organization_keeps_its_money_without_names(world: World, api: ApiClient) -> None:
    use(world, api)
    before = exported()
    assert [each for each in PERSONAL if not re.search(each, before)] == []
    delete_customer(world)
    invoices = [(each.id, each.total, each.status) for each in world.rows(Invoice)]
    erased = run("erase", "org_1", "--yes")
    after = exported()
    assert [each for each in PERSONAL if re.search(each, after)] == []
    assert [(each.id, each.total, each.status) for each in world.rows(Invoice)] == invoices
    assert f"invoices ({len(invoices)})" in erased.output
    assert f"Stripe still holds the deleted customer {customer_of(world)}" in erased.output
    assert run("erase", "org_1", "--yes").output == erased.output
    assert json.loads(run("show", "org_1", "--verify").output)["differences"] == []
    assert exported() == after


def test_erasure_names_everything_that_speaks_against_it(world: World, api: ApiClient) -> None:
    api.ok("PATCH", "/subscription", plan="plus")
    world.await_deliveries()
    add_grant(
        world.gateway, "org_1", "plus", until=datetime.now(UTC) + timedelta(days=9), reason="Beta", operator="root"
    )
    with world.gateway.database.transaction() as session:
        session.execute(text("UPDATE plan_changes SET state = 'processing', ended_at = NULL WHERE to_plan = 'plus'"))
        session.execute(text("UPDATE invoices SET status = 'open', amount_remaining = 1"))
        session.execute(
            text(
                "INSERT INTO notifications (id, receiver, organization_id, type, data, created_at, next_attempt_at,"
                " retried_until) VALUES ('ntf_1', 'x', 'org_1', 'plan.changed', '{}', now(), now(), now())"
            )
        )
    before = exported()
    error = str(run("erase", "org_1", "--yes").exception)
    assert [line.strip().partition(" ")[0] for line in error.splitlines()[1:]] == [
        *("It", "A", "An", "It", "Stripe", "Events", "1"),
    ]
    assert exported() == before


def test_history_and_grants_let_only_names_be_erased(world: World, api: ApiClient) -> None:
    use(world, api)
    for change in (
        "plan_history SET actor = 'another'",
        "plan_history SET actor = 'erased', cause = 'another'",
        "grants SET reason = 'another'",
        "grants SET reason = 'erased', plan = 'another'",
    ):
        with pytest.raises(IntegrityError), world.gateway.database.transaction() as session:
            session.execute(text(f"UPDATE {change}"))


def test_events_of_others_keep_their_payloads(world: World, api: ApiClient) -> None:
    api.ok("POST", "/sales-inquiries", name=NAME, email=EMAIL, company="Ada's", message="Ada asks")
    world.api("org_2").ok("POST", "/subscription", plan="free")
    delete_customer(world)
    run("erase", "org_1", "--yes")
    assert {each.payload is None for each in world.rows(WebhookEvent) if each.object_id == customer_of(world)} == {True}
    kept = [json.loads(line) for line in run("export", "org_2").stdout.splitlines()]
    assert all(each["payload"] for each in kept if each["table"] == "webhook_events")


def test_organization_without_a_customer_is_erased(world: World) -> None:
    world.api("org_3").ok("POST", "/sales-inquiries", name=NAME, email=EMAIL, company="Ada's", message="Ada asks")
    assert "Stripe" not in run("erase", "org_3", "--yes").output
    assert NAME not in run("export", "org_3").output
