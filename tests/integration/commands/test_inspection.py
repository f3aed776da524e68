"""An operator sees a change and an organization, and every difference to Stripe with its cause."""

import json

import psycopg
import pytest
from click.testing import CliRunner, Result
from sqlalchemy import text

from gateway.cli import cli
from gateway.services.operations.export import export_organization, list_tables
from tests.support.api import ApiClient
from tests.support.world import World

pytestmark = pytest.mark.usefixtures("environment")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments)


def test_change_is_shown_with_its_events_and_jobs(world: World, api: ApiClient) -> None:
    change_id = api.ok("PATCH", "/subscription", plan="plus")["id"]
    assert change_id in run("changes", "list", "--organization", "org_1", "--state", "applied").output
    assert run("changes", "list", "--state", "failed").output == "No changes.\n"
    shown = json.loads(run("changes", "show", change_id).output)
    assert (shown["state"], shown["to_plan"], shown["history"][0]["change_id"]) == ("applied", "plus", change_id)
    assert [each["task_name"] for each in shown["jobs"]] == ["gateway.finish_change"]
    world.settle()
    shown = json.loads(run("changes", "show", change_id).output)
    assert "customer.subscription.updated" in {each["type"] for each in shown["events"]}


def test_organization_is_shown_without_an_email_address(world: World, api: ApiClient) -> None:
    api.ok("PATCH", "/subscription", plan="plus")
    assert json.loads(run("organizations", "show", "org_1").output)["jobs"]
    world.settle()
    result = run("organizations", "show", "org_1", "--verify")
    shown = json.loads(result.output)
    assert (result.exit_code, shown["differences"], shown["plan"]["plan"]) == (0, [], "plus")
    assert shown["subscriptions"][0]["id"] in shown["reason"]
    assert all(shown[each] for each in ("history", "changes", "payment_methods", "invoices", "events"))
    assert "@" not in result.output


@pytest.mark.usefixtures("api")
def test_verify_names_each_difference_with_its_cause(world: World) -> None:
    with world.gateway.database.transaction() as session:
        session.execute(text("UPDATE organization_plans SET plan = 'plus'"))
        session.execute(text("UPDATE organizations SET as_of = as_of - interval '1 hour', balance = 7"))
    result = run("organizations", "show", "org_1", "--verify")
    found = {(each["kind"], each["class"], *each["fields"]) for each in json.loads(result.output)["differences"]}
    assert result.exit_code == 1
    assert found == {("customer", "altered", "balance"), ("subscription", "altered", "plan_table.plan")}


def test_export_has_every_row_and_no_secret(world: World, api: ApiClient) -> None:
    api.ok("PATCH", "/subscription", plan="plus")
    world.api("org_2").ok("POST", "/subscription", plan="free")
    world.settle()
    result = run("organizations", "export", "org_1")
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    tables = {each["table"] for each in rows}
    assert tables >= {"organizations", "subscriptions", "payment_methods", "plan_changes", "plan_history"}
    payloads = [each["payload"] for each in rows if each["table"] == "webhook_events"]
    assert {each["object"] for each in payloads if each is not None} == {"event"}
    assert "Stripe holds more: the customer cus_" in result.stderr
    assert "org_2" not in result.stdout
    assert "_secret_" not in result.stdout


def test_export_waits_for_a_slow_reader(world: World, api: ApiClient) -> None:
    api.ok("PATCH", "/subscription", plan="plus")
    with world.gateway.database.transaction() as session:  # the export gets the same connection from the pool
        session.execute(text("SET idle_in_transaction_session_timeout = '50ms'"))
    rows = export_organization(world.gateway, "org_1")
    first = next(rows)
    with psycopg.connect(world.gateway.config.database_url) as other:
        other.execute("SELECT pg_sleep(0.3)")
    assert [first, *rows][-1]["table"] == "webhook_events"
    with world.gateway.database.transaction() as session:
        session.execute(text("RESET idle_in_transaction_session_timeout"))


def test_each_table_is_exported_or_names_no_organization() -> None:
    assert {each.name for each in list_tables() if "organization_id" not in each.c} == {"organizations"}


@pytest.mark.parametrize(
    "arguments",
    [("organizations", "export", "org_x"), ("changes", "show", "chg_x"), ("organizations", "show", "org_x")],
)
def test_unknown_id_is_reported(arguments: tuple[str, ...]) -> None:
    assert "There is no" in str(run(*arguments).exception)
