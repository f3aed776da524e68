"""The drift walk names and heals every difference from Stripe, and never overwrites a newer state."""

from datetime import timedelta

import orjson
import pytest

from gateway.db.models import Organization, PlanHistory, Reconciliation, SeenAtStripe, Subscription
from gateway.sandbox import Sandbox
from gateway.services.mirror.refresh import merge_snapshots
from gateway.services.plan_changes.execute import finish_change
from gateway.services.plan_changes.request import write_intent
from gateway.services.reconciliation import drift, drift_phases
from gateway.services.reconciliation.differences import Difference
from gateway.services.webhooks import drain
from gateway.stripe_api.snapshots import CustomerSnapshot, SubscriptionSnapshot
from handlers import HANDLERS
from schemas.changes import ChangeCommand
from tests.support.clock import StripeTime
from tests.support.database import execute_sql
from tests.support.payment_methods import customer_of
from tests.support.plans import settled_on_plus
from tests.support.reconciliation import drop_webhooks, set_quantity_at_stripe, subscription_items, tables
from tests.support.stripe_events import deliver, event
from tests.support.wait import eventually
from tests.support.world import CALLER, World


@pytest.fixture
def settled(world: World, sandbox: Sandbox, stripe_time: StripeTime) -> World:
    """Put an organization on Plus, process all events, drop further webhooks and let a minute pass at Stripe."""
    settled_on_plus(world)
    drop_webhooks(world, sandbox)
    stripe_time.ahead = 60
    return world


def walk_drift(world: World, *, dry_run: bool = False) -> list[Difference]:
    return [each for page in drift.walk(world.gateway, dry_run=dry_run) for each in page.differences]


def classes(found: list[Difference]) -> list[tuple[str, str, str]]:
    return [(each.kind, each.cause, each.resolution) for each in found]


def test_no_difference_when_every_webhook_arrived(settled: World) -> None:
    assert walk_drift(settled) == []
    [run] = settled.rows(Reconciliation)
    assert run.counts == {"customers": 1, "subscriptions": 1, "added_payment_methods": 1, "plan_table": 1}
    assert settled.rows(SeenAtStripe) == []


def test_dashboard_edit_is_listed_by_field_and_healed(settled: World, stripe_time: StripeTime) -> None:
    set_quantity_at_stripe(settled, 7)
    stripe_time.ahead += 60
    [found] = walk_drift(settled)
    _, item = subscription_items(settled)
    assert (found.organization_id, found.cause, found.resolution) == ("org_1", "dashboard_edit", "healed")
    assert found.fields[f"items.{item}.quantity"] == (2, 7)
    assert settled.plan_row().quantity == 7
    assert settled.rows(PlanHistory)[-1].cause == f"refresh of {found.stripe_id}"


def test_unreported_cancellation_is_a_missed_event(settled: World) -> None:
    settled.stripe.v1.subscriptions.cancel(subscription_items(settled)[0])
    assert classes(walk_drift(settled)) == [("subscription", "missed_event", "healed")]
    assert (settled.plan_row().plan, settled.plan_row().status) == ("free", "canceled")


def test_own_change_that_the_mirror_missed_is_a_missed_event(settled: World) -> None:
    subscription, item = subscription_items(settled)
    settled.stripe.v1.subscriptions.update(
        subscription, {"items": [{"id": item, "quantity": 9}], "metadata": {"change_id": "chg_lost"}}
    )
    assert classes(walk_drift(settled)) == [("subscription", "missed_event", "healed")]


def test_unknown_subscription_is_found(settled: World) -> None:
    customer = customer_of(settled)
    subscription, _ = subscription_items(settled)
    settled.stripe.v1.subscriptions.cancel(subscription)
    [price] = settled.stripe.v1.prices.list({"lookup_keys": ["konnect_plus_usd_month"]}).data
    made = settled.stripe.v1.subscriptions.create({"customer": customer, "items": [{"price": price.id, "quantity": 3}]})
    assert {each.stripe_id for each in walk_drift(settled)} == {subscription, made.id}
    row = settled.plan_row()
    assert (row.plan, row.quantity, row.subscription_id) == ("plus", 3, made.id)


def test_difference_of_a_pending_event_is_left_to_it(settled: World) -> None:
    subscription, _ = subscription_items(settled)
    set_quantity_at_stripe(settled, 7)
    body = event(type="customer.subscription.updated", data={"object": {"id": subscription, "object": "subscription"}})
    deliver(settled, orjson.dumps(body))
    assert classes(walk_drift(settled)) == [("subscription", "in_flight", "left")]
    assert settled.plan_row().quantity == 2


def test_time_ahead_of_stripes_clock_hides_nothing_and_is_healed(settled: World) -> None:
    execute_sql(settled, "UPDATE subscriptions SET as_of = as_of + interval '1 year'")
    set_quantity_at_stripe(settled, 7)
    assert classes(walk_drift(settled)) == [("subscription", "dashboard_edit", "healed")]
    assert settled.plan_row().quantity == 7
    as_of = settled.rows(Subscription)[0].as_of
    assert as_of is not None
    assert as_of < settled.gateway.clock() + timedelta(minutes=2)  # Stripe's clock is a minute ahead


def test_difference_of_a_change_in_flight_is_left_to_it(settled: World) -> None:
    change = write_intent(settled.gateway, CALLER, ChangeCommand(plan="plus", quantity=7), None).change_id
    set_quantity_at_stripe(settled, 7)
    assert classes(walk_drift(settled)) == [("subscription", "in_flight", "left")]
    finish_change(settled.gateway, change)
    assert settled.plan_row().quantity == 7


def test_state_of_a_dead_event_is_healed(settled: World) -> None:
    subscription, _ = subscription_items(settled)
    set_quantity_at_stripe(settled, 7)
    deliver(settled, orjson.dumps(event(data={"object": {"id": subscription, "object": "subscription"}})))
    execute_sql(settled, "UPDATE webhook_events SET state = 'dead' WHERE id = 'evt_test'")
    assert classes(walk_drift(settled)) == [("subscription", "failed_event", "healed")]
    assert settled.plan_row().quantity == 7


def test_altered_mirror_row_is_healed(settled: World) -> None:
    execute_sql(settled, "UPDATE subscriptions SET status = 'past_due'")
    [found, *_] = walk_drift(settled)
    assert (found.cause, found.resolution, found.fields) == ("altered", "healed", {"status": ("past_due", "active")})


def test_altered_plan_table_row_is_healed(settled: World) -> None:
    execute_sql(settled, "UPDATE organization_plans SET plan = 'enterprise'")
    [found] = walk_drift(settled)
    assert (found.cause, found.resolution) == ("altered", "healed")
    assert found.fields == {"plan_table.plan": ("enterprise", "plus")}
    assert settled.plan_row().plan == "plus"


def test_price_of_no_plan_is_reported_each_time_and_grants_nothing(settled: World) -> None:
    product = settled.stripe.v1.products.create({"name": "Unknown"})
    price = settled.stripe.v1.prices.create(
        {"product": product.id, "currency": "usd", "unit_amount": 100, "recurring": {"interval": "month"}}
    )
    subscription, item = subscription_items(settled)
    settled.stripe.v1.subscriptions.update(subscription, {"items": [{"id": item, "price": price.id}]})
    settled.stripe.v1.prices.update(price.id, {"active": False})
    assert classes(walk_drift(settled)) == [
        ("subscription", "dashboard_edit", "healed"),
        ("subscription", "unmapped", "not_healed"),
    ]
    assert settled.plan_row().plan == "unmapped"
    assert classes(walk_drift(settled)) == [("subscription", "unmapped", "not_healed")]


def test_subscription_unknown_to_stripe_is_reported_and_kept(settled: World) -> None:
    execute_sql(
        settled,
        "INSERT INTO subscriptions SELECT 'sub_gone', organization_id, status, currency, items, cancel_at,"
        " latest_invoice_id, change_id, created - interval '1 day', as_of, source, rank, trail, revision"
        " FROM subscriptions",
    )
    assert classes(walk_drift(settled)) == [
        ("subscription", "gone", "not_healed"),
        ("subscription", "duplicate_subscription", "not_healed"),
    ]
    assert settled.plan_row().plan == "plus"


def test_unreported_customer_deletion_ends_on_free(settled: World) -> None:
    settled.stripe.v1.customers.delete(customer_of(settled))
    assert {each.kind for each in walk_drift(settled)} == {"customer", "subscription"}
    assert settled.rows(Organization)[0].deleted
    assert settled.plan_row().plan == "free"


def test_unreported_customer_of_ours_is_linked(settled: World) -> None:
    with settled.gateway.database.transaction() as session:
        session.add(Organization(id="org_2", created_at=settled.gateway.clock()))
    customer = settled.stripe.v1.customers.create({"metadata": {"organization_id": "org_2"}})
    assert classes(walk_drift(settled)) == [("customer", "missed_event", "healed")]
    assert settled.rows(Organization)[1].stripe_customer_id == customer.id


def test_customers_of_no_organization_are_ignored(settled: World) -> None:
    settled.stripe.v1.customers.create({"name": "Somebody else's", "metadata": {"team": "org_elsewhere"}})
    assert walk_drift(settled) == []


def test_dry_run_reports_differences_and_writes_nothing(settled: World) -> None:
    set_quantity_at_stripe(settled, 7)
    execute_sql(settled, "UPDATE organization_plans SET standing = 'suspended'")
    before = tables(settled)
    dry = walk_drift(settled, dry_run=True)
    assert tables(settled) == before
    assert {each.resolution for each in dry} == {"would_heal"}
    assert "dashboard_edit" in {each.cause for each in dry}
    walk_drift(settled)


def test_killed_walk_resumes_at_its_last_page(settled: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drift_phases, "PAGE_SIZE", 1)
    settled.stripe.v1.customers.create({"name": "Somebody else's"})
    set_quantity_at_stripe(settled, 7)
    walk = drift.walk(settled.gateway)
    pages = [next(walk) for _ in range(2)]
    walk.close()
    assert [page.differences for page in pages] == [[], []]
    assert len(settled.rows(SeenAtStripe)) == 3  # two customers and a default payment method
    assert classes(walk_drift(settled)) == [("subscription", "dashboard_edit", "healed")]
    [run] = settled.rows(Reconciliation)
    assert run.finished_at is not None
    assert run.counts["customers"] == 2


def test_walk_with_a_forgotten_cursor_restarts_its_phase(settled: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drift_phases, "PAGE_SIZE", 1)
    settled.stripe.v1.customers.create({"name": "Somebody else's"})
    next(drift.walk(settled.gateway))
    execute_sql(settled, "UPDATE reconciliations SET cursor = 'customers/cus_forgotten'")
    assert walk_drift(settled) == []
    assert settled.rows(Reconciliation)[0].finished_at is not None


def test_walk_in_a_phase_of_another_release_begins_again(settled: World) -> None:
    next(drift.walk(settled.gateway))
    execute_sql(settled, "UPDATE reconciliations SET cursor = 'of_another_release/cus_1'")
    set_quantity_at_stripe(settled, 7)
    assert classes(walk_drift(settled)) == [("subscription", "dashboard_edit", "healed")]
    assert settled.rows(Reconciliation)[0].finished_at is not None


def test_stale_list_does_not_overwrite_a_newer_webhook(settled: World) -> None:
    set_quantity_at_stripe(settled, 7)
    stale = settled.stripe.v1.subscriptions.list({"status": "all"})
    set_quantity_at_stripe(settled, 8)  # usually in the same second
    [newest, *_] = settled.stripe.v1.events.list({"type": "customer.subscription.updated"}).data
    deliver(settled, orjson.dumps(newest.to_dict(for_json=True)))
    drain.drain_inbox(settled.gateway, HANDLERS)
    settled.work()
    assert settled.plan_row().quantity == 8
    [found] = drift_phases.compare_listed(settled.gateway, SubscriptionSnapshot, stale).differences
    assert found.cause == "in_flight"
    drift.heal(settled.gateway, found)  # must not overwrite it, even if called
    settled.work()
    assert settled.plan_row().quantity == 8


def test_subscription_created_during_the_walk_is_not_gone(settled: World) -> None:
    walk = drift.walk(settled.gateway)
    next(walk)
    api = settled.api("org_2")
    api.ok("POST", "/subscription", plan="free")
    found = [each for page in walk for each in page.differences]
    assert "gone" not in {each.cause for each in found}
    eventually(lambda: len(settled.rows(Subscription)) == 2)


def test_half_an_emoji_in_a_name_is_dropped(settled: World) -> None:
    page = settled.stripe.v1.customers.list()
    page.data[0]["name"] = "Half \ud83d"
    [found] = drift_phases.compare_listed(settled.gateway, CustomerSnapshot, page).differences
    assert found.fields["name"][1] == "Half "
    merge_snapshots(settled.gateway, *CustomerSnapshot.from_list(page, cause="test"))
    assert settled.rows(Organization)[0].name == "Half "
    assert drift_phases.compare_listed(settled.gateway, CustomerSnapshot, page).differences == []


def test_unreadable_subscription_is_reported_and_stops_nothing(settled: World) -> None:
    page = settled.stripe.v1.subscriptions.list({"status": "all"})
    page.data[0]["status"] = "a new status"
    [found] = drift_phases.compare_listed(settled.gateway, SubscriptionSnapshot, page).differences
    assert (found.cause, found.organization_id, found.healable) == ("unreadable", "org_1", False)


def test_subscription_that_stripe_refuses_to_show_stops_nothing(settled: World) -> None:
    execute_sql(settled, "UPDATE subscriptions SET id = 'sub_1/items'")
    found = walk_drift(settled)
    assert ("subscription", "sub_1/items", "unreadable") in {(each.kind, each.stripe_id, each.cause) for each in found}
    assert settled.rows(Reconciliation)[0].finished_at is not None
