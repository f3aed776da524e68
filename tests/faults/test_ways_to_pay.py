"""What the attacks on billing found, on the real processes: no plan without a card, and no card removed while owing."""

import threading

import pytest
import requests

from tests.faults.changes import GOOD, enrol, interface
from tests.faults.operations import want_payment
from tests.support.deployment import Deployment
from tests.support.wait import eventually

TRIES = 3
WITHOUT_CARD = """
    SELECT count(*) FROM organizations JOIN organization_plans ON organization_id = organizations.id
    WHERE plan = 'plus' AND NOT EXISTS (
        SELECT FROM payment_methods WHERE payment_methods.organization_id = organizations.id AND NOT detached
    )
"""


def test_card_removal_and_upgrade_exclude_each_other(running: Deployment) -> None:
    for number in range(TRIES):
        name = f"org_exclusive_{number}"
        enrol(running, name, GOOD)
        with interface(running, name) as api:
            [card] = api.ok("GET", "/payment-methods")["data"]
        removal = threading.Thread(target=running.api, args=(name, "DELETE", f"/payment-methods/{card['id']}"))
        upgrade = threading.Thread(target=running.api, args=(name, "PATCH", "/subscription"), kwargs={"plan": "plus"})
        for each in (removal, upgrade):
            each.start()
        for each in (removal, upgrade):
            each.join()
        customer = running.rows("SELECT stripe_customer_id FROM organizations WHERE id = %s", name)[0][0]
        cards = running.stripe.v1.customers.payment_methods.list(customer).data
        assert running.plan(name)[0] == ("plus" if cards else "free")
    assert running.number(WITHOUT_CARD) == 0


def test_paying_card_stays_while_an_invoice_is_open(running: Deployment) -> None:
    wanted = want_payment(running)
    with interface(running, wanted.organization_id) as api:
        [card] = api.ok("GET", "/payment-methods")["data"]
    answer = running.api(wanted.organization_id, "DELETE", f"/payment-methods/{card['id']}")
    assert (answer.status_code, answer.json()["code"]) == (409, "payment_method_in_use")
    assert "USD 7.00 is unpaid" in answer.json()["detail"]


def test_answers_and_stored_events_hold_no_secret(running: Deployment) -> None:
    answer = requests.get(f"http://127.0.0.1:{running.port}/v1/plans", timeout=10)
    assert (answer.headers["X-Content-Type-Options"], answer.headers["Referrer-Policy"]) == ("nosniff", "no-referrer")
    enrol(running, "org_secret", GOOD)
    intent = running.api("org_secret", "POST", "/billing-details/setup-intent")
    assert intent.headers["Cache-Control"] == "no-store"
    secret = intent.json()["client_secret"]
    named = "SELECT payload FROM webhook_events WHERE object_id = %s"
    eventually(lambda: running.rows(named, secret.partition("_secret_")[0]) != [])
    payloads = [payload for (payload,) in running.rows(named, secret.partition("_secret_")[0])]
    assert all(payload is None or secret.encode() not in payload for payload in payloads)


@pytest.mark.long
def test_upgrade_that_is_paid_needs_no_webhook_for_the_next_change(own_at_once: Deployment) -> None:
    own_at_once.serve()  # and no worker, so nothing merges a webhook
    enrol(own_at_once, "org_stalled", GOOD)
    assert own_at_once.ok("org_stalled", "PATCH", "/subscription", plan="plus")["state"] == "applied"
    assert own_at_once.ok("org_stalled", "PATCH", "/subscription", quantity=2)["state"] == "applied"
