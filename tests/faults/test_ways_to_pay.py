"""What the attacks on billing found, on the real processes: no plan without a card, and no card removed while owing."""

import json
import threading

import pytest
import requests

from tests.faults.operations import want_payment
from tests.support.deployment import Deployment
from tests.support.wait import eventually, poll

TRIES = 3  # without the rule, each of them succeeded eleven times in twelve


def test_card_removal_and_upgrade_exclude_each_other(running: Deployment) -> None:
    for number in range(TRIES):
        name = f"org_exclusive_{number}"
        customer = running.enrol(name)["customer"]
        [card] = running.ok(name, "GET", "/payment-methods")["data"]
        removal = threading.Thread(target=running.api, args=(name, "DELETE", f"/payment-methods/{card['id']}"))
        upgrade = threading.Thread(target=running.api, args=(name, "PATCH", "/subscription"), kwargs={"plan": "plus"})
        for each in (removal, upgrade):
            each.start()
        for each in (removal, upgrade):
            each.join()
        plan = "plus" if running.stripe.v1.customers.payment_methods.list(customer).data else "free"
        eventually(lambda name=name, plan=plan: running.plan(name)[0] == plan)  # type: ignore[misc]  # defaults bind both
        [subscription] = running.stripe.v1.subscriptions.list({"customer": customer}).data
        assert subscription.to_dict()["items"]["data"][0]["price"]["lookup_key"] == f"konnect_{plan}_usd_month"


def test_paying_card_stays_while_an_invoice_is_open(running: Deployment) -> None:
    wanted = want_payment(running)
    [card] = running.ok(wanted.organization_id, "GET", "/payment-methods")["data"]
    answer = running.api(wanted.organization_id, "DELETE", f"/payment-methods/{card['id']}")
    assert (answer.status_code, answer.json()["code"]) == (409, "payment_method_in_use")
    assert "USD 7.00 is unpaid" in answer.json()["detail"]


def test_answers_and_stored_events_hold_no_secret(running: Deployment) -> None:
    answer = requests.get(f"http://127.0.0.1:{running.port}/v1/plans", timeout=10)
    assert (answer.headers["X-Content-Type-Options"], answer.headers["Referrer-Policy"]) == ("nosniff", "no-referrer")
    running.enrol("org_secret")
    intent = running.api("org_secret", "POST", "/billing-details/setup-intent")
    assert intent.headers["Cache-Control"] == "no-store"
    secret = intent.json()["client_secret"]
    setup = secret.partition("_secret_")[0]
    running.stripe.v1.setup_intents.confirm(setup, {"payment_method": "pm_card_visa"})
    named = "SELECT payload FROM webhook_events WHERE object_id = %s AND type = 'setup_intent.succeeded'"
    [(payload,)] = poll(lambda: running.rows(named, setup), bool)
    assert json.loads(payload)["data"]["object"]["client_secret"] is None
    assert secret.encode() not in payload


@pytest.mark.long
def test_upgrade_that_is_paid_needs_no_webhook_for_the_next_change(own_at_once: Deployment) -> None:
    own_at_once.serve()  # and no worker, so nothing merges a webhook
    own_at_once.enrol("org_stalled")
    assert own_at_once.ok("org_stalled", "PATCH", "/subscription", plan="plus")["state"] == "applied"
    assert own_at_once.ok("org_stalled", "PATCH", "/subscription", quantity=2)["state"] == "applied"
