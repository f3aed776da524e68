"""Starts plan changes in a deployment and checks how they ended."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import requests
from procrastinate.exceptions import AlreadyEnqueued
from stripe import Subscription

from gateway.app import create_app
from gateway.auth import issue_development_token
from gateway.db import jobs
from gateway.endpoints.request_context import EXTENSION
from gateway.services.webhooks.wakeup import defer_drain
from gateway.stripe_api.snapshots import ORGANIZATION_ID_KEY
from gateway.tasks import build_worker
from tests.support.api import ApiClient
from tests.support.deployment import Deployment
from tests.support.json_types import Json
from tests.support.wait import eventually

GOOD, ASKS_ITS_HOLDER, DECLINED = "pm_card_visa", "pm_card_authenticationRequired", "pm_card_chargeCustomerFail"
PRICE_OF = {"konnect_free_usd_month": "free", "konnect_plus_usd_month": "plus"}
PROMISED = 60  # seconds within which every change must end
UNKNOWN = "SELECT count(*) FROM plan_changes WHERE state IN ('requested', 'processing')"
LAST = """
    SELECT id, state FROM plan_changes WHERE organization_id = %s AND to_plan = 'plus' ORDER BY created_at DESC LIMIT 1
"""


@contextmanager
def interface(stage: Deployment, organization_id: str) -> Iterator[ApiClient]:
    """Yield a client for the organization that calls the JSON interface in this process."""
    app = create_app(stage.gateway)
    yield ApiClient(
        app.test_client(), issue_development_token(stage.gateway.config, organization_id, stage.gateway.clock())
    )
    app.extensions[EXTENSION].close()


def enrol(stage: Deployment, organization_id: str, card: str) -> None:
    """Put an organization with a card on Free."""
    with interface(stage, organization_id) as api:
        api.ok("POST", "/subscription", plan="free")
        api.add_card(stage.stripe, card)


def let_a_minute_pass(stage: Deployment) -> None:
    """Make the jobs of the next minute due now. Make the heartbeats of dead workers look a minute old."""
    completions = [jobs.FINISH_CHANGE, jobs.FINISH_INTENT]
    stage.rows("UPDATE procrastinate_jobs SET scheduled_at = now() WHERE task_name = ANY(%s)", completions)
    stage.rows(
        "UPDATE procrastinate_workers SET last_heartbeat = last_heartbeat - interval '1 minute'"
        " WHERE id < (SELECT max(id) FROM procrastinate_workers)"
    )
    worker = build_worker(stage.gateway)
    with worker.open(), suppress(AlreadyEnqueued):
        worker.configure_task("gateway.retry_stalled_jobs").defer(timestamp=0)
    defer_drain(stage.gateway.database)


def is_up(stage: Deployment) -> bool:
    """Return whether web answers."""
    try:
        return requests.get(f"http://127.0.0.1:{stage.port}/health/live", timeout=5).ok
    except (requests.ConnectionError, requests.Timeout):
        return False


def start_again(stage: Deployment) -> None:
    """Start web and worker and make a minute pass."""
    stage.work()
    stage.serve()
    let_a_minute_pass(stage)


def all_known(stage: Deployment) -> bool:
    """Return whether every change has ended or waits for its customer."""
    return stage.number(UNKNOWN) == 0


def await_end(stage: Deployment, seconds: float = PROMISED) -> None:
    """Wait until every change has ended or waits for its customer."""
    eventually(lambda: all_known(stage), seconds)


def last_change(stage: Deployment, organization_id: str) -> tuple[str, str]:
    """Return the id and the state of the organization's last upgrade."""
    [(change_id, state)] = stage.rows(LAST, organization_id)
    return change_id, state


def approve(stage: Deployment, organization_id: str) -> None:
    """Approve the payment that the change waits for, as the cardholder does."""
    change_id, _ = last_change(stage, organization_id)
    with interface(stage, organization_id) as api:
        secret = api.ok("GET", f"/subscription/changes/{change_id}")["client_secret"]
    stage.stripe.v1.payment_intents.confirm(secret.split("_secret_")[0])


def at_stripe(stage: Deployment, organization_id: str) -> Subscription:
    """Retrieve the organization's subscription from Stripe. It must be the only one of its only customer."""
    [customer] = [each for each in stage.stripe.v1.customers.list({"limit": 100}) if owner(each) == organization_id]
    [subscription] = stage.stripe.v1.subscriptions.list({"customer": customer.id, "status": "all"}).data
    return subscription


def owner(stripe_object: object) -> str | None:
    """Return the organization that a customer or subscription belongs to, or None."""
    metadata: Json = stripe_object.to_dict()["metadata"]  # type: ignore[attr-defined]  # every SDK object has the method
    name = metadata.get(ORGANIZATION_ID_KEY)
    return str(name) if name is not None else None


def assert_agreed(stage: Deployment, organization_id: str) -> str:
    """Check that the plan table agrees with Stripe and return the plan."""
    [item] = at_stripe(stage, organization_id).to_dict()["items"]["data"]
    plan = PRICE_OF[item["price"]["lookup_key"]]
    assert stage.plan(organization_id) == (plan, item["quantity"])
    return plan


def assert_ended(stage: Deployment, organization_id: str, state: str) -> None:
    """Check the upgrade's state, that our tables agree with Stripe, and that Plus is charged only if applied."""
    assert last_change(stage, organization_id)[1] == state
    plan = assert_agreed(stage, organization_id)
    assert plan == ("plus" if state == "applied" else "free")
    assert len(charges_for_plus(stage, organization_id)) == (state == "applied")


def charges_for_plus(stage: Deployment, organization_id: str) -> list[int]:
    """Return one amount for each time that Stripe charged Plus for the rest of the period.

    Each is an invoice item that is pending or on a paid invoice.
    """
    customer = at_stripe(stage, organization_id).customer
    assert isinstance(customer, str)
    invoices = stage.stripe.v1.invoices.list({"customer": customer, "limit": 100}).data
    paid = {invoice.id for invoice in invoices if invoice.status == "paid"}
    paid_for = sum(invoice.amount_paid for invoice in invoices)
    items = stage.stripe.v1.invoice_items.list({"customer": customer, "limit": 100}).data
    counted = [item.amount for item in items if item.amount > 0 and (item.invoice is None or item.invoice in paid)]
    assert paid_for == sum(item.amount for item in items if item.amount > 0 and item.invoice in paid)
    return counted
