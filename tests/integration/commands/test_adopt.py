"""``gateway customers adopt`` shows what it links, links it, and says what a person must look at."""

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import select

from gateway.cli import cli
from gateway.db.models import OrganizationPlan, PlanHistory, Reconciliation, Subscription
from gateway.errors import StripeUnavailable
from gateway.services.adoption.migration import migrate_all
from tests.support.commands import use_settings
from tests.support.existing_account import existing_customer, list_links, subscribe
from tests.support.reconciliation import tables
from tests.support.world import World

KEY = "workspace"


@pytest.fixture
def account(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """Set the environment of the command."""
    use_settings(monkeypatch, world.gateway.config)
    return world


def adopt(*options: str) -> Result:
    return CliRunner().invoke(cli, ["customers", "adopt", *options])


def write_csv(path: Path, *rows: tuple[str, str]) -> str:
    lines = ["customer_id,organization_id", *(",".join(row) for row in rows)]
    path.write_text("\n".join(lines), encoding="utf-8-sig")  # with a mark, as spreadsheets write it
    return str(path)


def test_metadata_link_customers_with_their_plans(account: World) -> None:
    ada = existing_customer(account.stripe, metadata={KEY: "org_ada"}, quantity=4)
    bob = existing_customer(account.stripe, metadata={KEY: "org_bob"}, plan=None)
    existing_customer(account.stripe)  # names nobody
    result = adopt("--from-metadata", KEY)
    assert result.exit_code == 0, result.output
    assert list_links(account) == {"org_ada": ada, "org_bob": bob}
    [plan] = account.rows(OrganizationPlan)
    assert (plan.organization_id, plan.plan, plan.quantity, plan.standing) == ("org_ada", "plus", 4, "good")
    assert "2 to link, 1 of them without a plan" in result.stdout
    assert "2 linked." in result.stdout


def test_history_says_adopted_and_once(account: World) -> None:
    existing_customer(account.stripe, metadata={KEY: "org_ada"})
    for _ in range(2):
        adopt("--from-metadata", KEY)
    [entry] = account.rows(PlanHistory)
    assert (entry.cause, entry.actor_type) == ("adopted", "system")
    [shown] = account.api("org_ada").ok("GET", "/subscription/history")["data"]
    assert shown["cause"] == {"type": "adoption", "id": "adopted"}


def test_csv_links_customers(account: World, tmp_path: Path) -> None:
    ada = existing_customer(account.stripe)
    existing_customer(account.stripe)
    result = adopt("--csv", write_csv(tmp_path / "map.csv", (ada, "org_ada")))
    assert result.exit_code == 0, result.output
    assert list_links(account) == {"org_ada": ada}
    assert account.plan_row("org_ada").plan == "plus"


@pytest.mark.usefixtures("account")
def test_file_in_another_encoding_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "map.csv"
    file.write_text("customer_id,organization_id\n", encoding="utf-16")
    result = adopt("--csv", str(file))
    assert (result.exit_code, "must be encoded in UTF-8" in result.output) == (2, True)


def test_own_metadata_count_without_options(account: World) -> None:
    ada = existing_customer(account.stripe, metadata={"organization_id": "org_ada"})
    account.await_deliveries()
    assert adopt().exit_code == 0
    assert list_links(account) == {"org_ada": ada}


def test_dry_run_shows_the_same_and_writes_nothing(account: World) -> None:
    ada = existing_customer(account.stripe, metadata={KEY: "org_ada"})
    account.settle()
    before = tables(account)
    dry = adopt("--from-metadata", KEY, "--dry-run")
    assert tables(account) == before
    assert f"{ada} → org_ada  plus, active" in dry.stdout
    wet = adopt("--from-metadata", KEY)
    assert dry.stdout.partition("Nothing was written.")[0] == wet.stdout.partition("1 linked.")[0]


def test_every_ambiguity_is_shown_and_left_alone(account: World, tmp_path: Path) -> None:
    stripe = account.stripe
    account.api("org_served").ok("POST", "/subscription", plan="free")
    account.settle()
    served = list_links(account)["org_served"]
    account.api("org_closed").ok("POST", "/subscription", plan="free")
    account.settle()
    stripe.v1.customers.delete(list_links(account)["org_closed"] or "")
    account.settle()
    stored = list_links(account)
    first, second = (existing_customer(stripe, metadata={"organization_id": "org_twice"}, plan=None) for _ in range(2))
    rival = existing_customer(stripe, plan=None)
    torn = existing_customer(stripe, metadata={"organization_id": "org_left"}, plan=None)
    heir = existing_customer(stripe, plan=None)
    odd = existing_customer(stripe, plan=None)
    gone = existing_customer(stripe, plan=None)
    stripe.v1.customers.delete(gone)
    rows = [
        (rival, "org_served"),
        (served or "", "org_thief"),
        (torn, "org_right"),
        (heir, "org_closed"),
        (odd, "no such id"),
        (gone, "org_gone"),
        ("cus_nobody", "org_nobody"),
    ]
    result = adopt("--csv", write_csv(tmp_path / "map.csv", *rows))
    assert result.exit_code == 1
    for customer, reason in (
        (first, "two_customers"),
        (second, "two_customers"),
        (rival, "other_customer"),
        (served, "contradiction"),
        (torn, "contradiction"),
        (heir, "deleted"),
        (odd, "invalid_organization"),
        (gone, "unknown_customer"),
        ("cus_nobody", "unknown_customer"),
    ):
        [line] = [each for each in result.stdout.splitlines() if f"{customer} ✗" in each]
        assert f"  {reason}: " in line
    assert {name: each for name, each in list_links(account).items() if each} == stored


def test_wrong_files_are_refused_in_one_line(account: World, tmp_path: Path) -> None:
    (tmp_path / "headless.csv").write_text("cus_1,org_1\n")
    (tmp_path / "gap.csv").write_text("customer_id,organization_id\ncus_1,\n")
    assert "must name the columns" in str(adopt("--csv", str(tmp_path / "headless.csv")).exception)
    assert "Line 2" in str(adopt("--csv", str(tmp_path / "gap.csv")).exception)
    assert "Choose either" in adopt("--csv", str(tmp_path / "gap.csv"), "--from-metadata", KEY).stderr
    assert account.rows(Reconciliation) == []


CLASSIC: Any = {"billing_mode": {"type": "classic"}}


def mode(world: World, customer: str) -> list[str]:
    return [each.billing_mode.type for each in world.stripe.v1.subscriptions.list({"customer": customer}).data]


def test_dry_run_lists_what_it_would_migrate(account: World) -> None:
    ada = existing_customer(account.stripe, metadata={KEY: "org_ada"}, **CLASSIC)
    existing_customer(account.stripe, metadata={KEY: "org_bob"})
    dry = adopt("--from-metadata", KEY, "--dry-run", "--migrate")
    assert f"{ada} → org_ada  plus, active, classic billing mode" in dry.stdout
    assert "1 would move to flexible billing mode. There is no way back." in dry.stdout
    assert mode(account, ada) == ["classic"]


def test_migrate_moves_plans_and_nothing_else(account: World) -> None:
    ada = existing_customer(account.stripe, metadata={KEY: "org_ada"}, plan=None)
    stranger = existing_customer(account.stripe, **CLASSIC)
    support = account.stripe.v1.products.create({"name": "Support"})
    params: Any = {"product": support.id, "currency": "usd", "unit_amount": 900, "recurring": {"interval": "month"}}
    price = account.stripe.v1.prices.create(params)
    support_params: Any = {"customer": ada, "items": [{"price": price.id}], **CLASSIC}
    account.stripe.v1.subscriptions.create(support_params)
    subscribe(account.stripe, ada, "plus", **CLASSIC)
    assert "1 moved to flexible billing mode." in adopt("--from-metadata", KEY, "--migrate").stdout
    assert sorted(mode(account, ada)) == ["classic", "flexible"]
    assert mode(account, stranger) == ["classic"]
    assert account.api("org_ada").ok("PATCH", "/subscription", quantity=5)["state"] == "applied"
    assert "0 moved" in adopt("--from-metadata", KEY, "--migrate").stdout


def test_migration_whose_answer_was_lost_is_found(account: World) -> None:
    ada = existing_customer(account.stripe, metadata={KEY: "org_ada"}, **CLASSIC)
    adopt("--from-metadata", KEY)
    account.fault("webhook_dropped", times=1000)
    account.fault("error_after", path="/v1/subscriptions/*/migrate", times=10)
    lost = adopt("--from-metadata", KEY, "--migrate")
    assert isinstance(lost.exception, StripeUnavailable)
    account.end_faults()
    assert adopt("--from-metadata", KEY, "--migrate").exit_code == 0
    assert [each.billing_mode for each in account.rows(Subscription)] == mode(account, ada) == ["flexible"]


def test_subscription_that_somebody_moved_counts_as_moved(account: World) -> None:
    ada = existing_customer(account.stripe, metadata={KEY: "org_ada"}, **CLASSIC)
    adopt("--from-metadata", KEY)
    account.fault("webhook_dropped", times=1000)
    [subscription] = account.stripe.v1.subscriptions.list({"customer": ada}).data
    account.stripe.v1.subscriptions.migrate(subscription.id, {"billing_mode": {"type": "flexible"}})
    [migration] = migrate_all(account.gateway)
    assert migration.refusal is None
    assert [each.billing_mode for each in account.rows(Subscription)] == ["flexible"]


def test_refused_migration_sets_the_exit_status(account: World) -> None:
    ada = existing_customer(account.stripe, metadata={KEY: "org_ada"}, **CLASSIC)
    adopt("--from-metadata", KEY)
    with account.gateway.database.transaction() as session:
        row = session.scalars(select(Subscription)).one()
        row.id, plan = "sub_gone", session.get_one(OrganizationPlan, "org_ada")
        plan.subscription_id = "sub_gone"
    result = CliRunner().invoke(cli, ["customers", "adopt", "--migrate"])
    assert (result.exit_code, mode(account, ada)) == (1, ["classic"])
    assert "sub_gone NOT moved: No such subscription" in result.stdout
