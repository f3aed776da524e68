"""Web and worker are down for three days of renewals and edits. One ``gateway reconcile`` recovers everything."""

import time

import orjson
import requests

from tests.support.deployment import Deployment
from tests.support.wait import eventually

DAY = 86_400


def events_at_stripe(stage: Deployment) -> set[str]:
    return {each.id for each in stage.stripe.v1.events.list({"limit": 100}).auto_paging_iter()}


def in_the_inbox(stage: Deployment) -> set[str]:
    return {event_id for (event_id,) in stage.rows("SELECT id FROM webhook_events")}


def test_reconcile_recovers_every_event_of_a_three_day_outage(own: Deployment) -> None:
    web = own.serve()
    ids = {name: own.enrol(name) for name in ("org_renewed", "org_edited", "org_deleted", "org_quiet")}
    for name in ids:
        own.ok(name, "PATCH", "/subscription", plan="plus", quantity=2)
    web.kill()
    own.fault("webhook_dropped", times=100_000)  # Stripe gives up on them
    item = own.stripe.v1.subscriptions.retrieve(ids["org_edited"]["subscription"]).to_dict()["items"]["data"][0]
    advance(own, item["current_period_end"] - time.time() - 3 * DAY)  # the months differ in length
    known = in_the_inbox(own)
    own.stripe.v1.subscriptions.update(
        ids["org_edited"]["subscription"], {"items": [{"id": item["id"], "quantity": 9}]}
    )
    own.stripe.v1.customers.delete(ids["org_deleted"]["customer"])
    for _ in range(3):
        advance(own, DAY)
    advance(own, DAY / 2)
    missed = events_at_stripe(own) - known
    types = {each.type for each in own.stripe.v1.events.list({"limit": 100}).auto_paging_iter()}
    assert {"invoice.upcoming", "invoice.paid", "customer.deleted"} <= types
    assert missed & in_the_inbox(own) == set(), "an event was delivered despite the fault"

    report = own.command("reconcile", "--json")
    assert report.returncode == 0, report.stdout + report.stderr
    assert orjson.loads(report.stdout)["in_order"]
    handled = own.command("events", "types").stdout.split()
    listed = own.stripe.v1.events.list({"limit": 100}).auto_paging_iter()
    assert {each.id for each in listed if each.type in handled} - in_the_inbox(own) == set()
    assert [own.plan(name) for name in ids] == [("plus", 2), ("plus", 9), ("free", 1), ("plus", 2)]
    for name in ("org_renewed", "org_edited", "org_quiet"):
        subscription = own.stripe.v1.subscriptions.retrieve(ids[name]["subscription"]).to_dict()
        [(period_end,)] = own.rows(
            "SELECT extract(epoch FROM current_period_end)::bigint FROM organization_plans WHERE organization_id = %s",
            name,
        )
        assert period_end == subscription["items"]["data"][0]["current_period_end"]
        [(paid,)] = own.rows(
            "SELECT count(*) FROM invoices WHERE organization_id = %s AND status = 'paid' AND total > 0", name
        )
        assert paid == 1, "the renewal's invoice is missing"


def advance(stage: Deployment, seconds: float) -> None:
    """Advance Stripe's clock."""
    answer = requests.post(f"{stage.sandbox_url}/_sandbox/clock", json={"advance": seconds}, timeout=60)
    answer.raise_for_status()
    eventually(lambda: requests.get(f"{stage.sandbox_url}/_sandbox/clock", timeout=10).ok)
