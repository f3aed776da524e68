"""An adoption links every customer once, whatever happens during the run, and fills the mirror."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from sqlalchemy import text

from gateway.db import jobs
from gateway.db.models import Adoption, Invoice, Organization, PaymentMethod, PlanHistory, Reconciliation, Subscription
from gateway.errors import ReconciliationInProgress, StripeUnavailable
from gateway.sandbox import Sandbox
from gateway.services.adoption import completion, walk
from gateway.services.adoption.survey import Source, Survey
from gateway.services.customers.customer import ensure_customer
from gateway.services.reconciliation.progress import Progress
from gateway.services.reconciliation.run import reconcile
from gateway.services.runtime import Caller
from handlers import HANDLERS
from tests.support.clock import StripeTime
from tests.support.existing_account import existing_customer, list_links, multiply
from tests.support.world import World

SOURCE = Source(metadata_key="workspace")
NAMED = {"workspace": "org_ada"}


def survey(world: World, source: Source = SOURCE) -> Survey:
    found = Survey(world.gateway, source)
    list(found.read())
    return found


def pages(world: World, source: Source = SOURCE) -> Iterator[tuple[int, Progress]]:
    """Begin or resume a run, and return its pages."""
    at = walk.begin(world.gateway)
    return walk.walk(world.gateway, survey(world, source), at)


def adopt(world: World, source: Source = SOURCE) -> Mapping[str, int]:
    """Run an adoption to its end, and return its counts."""
    return list(pages(world, source))[-1][1].counts


def only_subscription(world: World, customer: str) -> Any:
    [found] = world.stripe.v1.subscriptions.list({"customer": customer, "status": "all"}).to_dict()["data"]
    return found


def status_of(world: World, invoice: str) -> str:
    return next(each.status for each in world.rows(Invoice) if each.id == invoice)


def differences(world: World) -> list[Any]:
    return reconcile(world.gateway, HANDLERS, dry_run=True, say=lambda _: None).differences


def test_reconciliation_finds_nothing_after_an_adoption(world: World, stripe_time: StripeTime) -> None:
    ada = existing_customer(world.stripe, metadata=NAMED)
    bob = existing_customer(world.stripe, metadata={"workspace": "org_bob"})
    world.stripe.v1.subscriptions.cancel(only_subscription(world, bob)["id"])
    existing_customer(world.stripe)
    world.settle()
    stripe_time.ahead = 60
    adopt(world)
    assert list_links(world) == {"org_ada": ada, "org_bob": bob}
    assert len(world.rows(Subscription)) == 2
    assert differences(world) == []


def test_customer_with_many_subscriptions_gets_all(world: World) -> None:
    ada = existing_customer(world.stripe, metadata=NAMED)
    price = only_subscription(world, ada)["items"]["data"][0]["price"]["id"]
    for _ in range(11):
        world.stripe.v1.subscriptions.create({"customer": ada, "items": [{"price": price}]})
    adopt(world)
    assert len(world.rows(Subscription)) == 12


def test_unpaid_plan_is_adopted_in_its_final_standing(world: World) -> None:
    """The history holds no better standing before the invoices arrive."""
    existing_customer(world.stripe, metadata=NAMED, card=None, plan="plus", payment_behavior="default_incomplete")
    adopt(world)
    [entry] = world.rows(PlanHistory)
    assert (entry.after["status"], entry.after["plan"]) == ("incomplete", "free")
    [invoice] = world.rows(Invoice)
    assert (invoice.status, invoice.amount_remaining) == ("open", 75_000)


def test_card_of_the_subscription_is_copied(world: World) -> None:
    ada = existing_customer(world.stripe, metadata=NAMED)
    other = world.stripe.v1.payment_methods.attach("pm_card_mastercard", {"customer": ada})
    world.stripe.v1.subscriptions.update(only_subscription(world, ada)["id"], {"default_payment_method": other.id})
    adopt(world)
    assert {each.brand for each in world.rows(PaymentMethod)} == {"visa", "mastercard"}


def test_payment_during_the_run_is_not_lost(world: World) -> None:
    """The inbox ignores the events of a customer that is not linked yet, so the run replays them."""
    ada = existing_customer(world.stripe, metadata=NAMED)
    invoices = world.stripe.v1.invoices
    setup = invoices.create({"customer": ada, "auto_advance": False})
    world.stripe.v1.invoice_items.create({"customer": ada, "invoice": setup.id, "amount": 900, "currency": "usd"})
    invoices.finalize_invoice(setup.id)
    world.settle()
    at = walk.begin(world.gateway)
    found = survey(world)
    invoices.pay(setup.id)
    world.settle()
    list(walk.walk(world.gateway, found, at))
    assert status_of(world, setup.id) == "open"
    world.work()
    assert status_of(world, setup.id) == "paid"


def test_organization_that_got_a_customer_since_is_left_alone(world: World) -> None:
    existing_customer(world.stripe, metadata=NAMED)
    at = walk.begin(world.gateway)
    found = survey(world)
    own = ensure_customer(world.gateway, Caller(organization_id="org_ada", actor="test"))
    counts = list(walk.walk(world.gateway, found, at))[-1][1].counts
    assert (counts[walk.LINKED], counts[walk.TAKEN]) == (0, 1)
    assert list_links(world) == {"org_ada": own}
    assert world.rows(Subscription) == []


def many(world: World, sandbox: Sandbox, count: int) -> None:
    """Fill the account with customers that name organizations."""
    multiply(sandbox, existing_customer(world.stripe), count, "workspace")


def test_killed_run_resumes_from_its_page(world: World, sandbox: Sandbox) -> None:
    many(world, sandbox, 250)
    next(pages(world))
    linked = len(list_links(world))
    assert 0 < linked < 250
    assert [each.finished_at for each in world.rows(Reconciliation)] == [None]
    [cursor] = [each.cursor for each in world.rows(Reconciliation)]
    rest = list(pages(world))
    assert len([objects for objects, _ in rest]) == 2 + 3 + 1
    assert len(set(list_links(world).values())) == len(list_links(world)) == 250
    assert len(world.rows(PlanHistory)) == 250
    [run] = world.rows(Reconciliation)
    assert (run.finished_at is not None, run.cursor != cursor, run.counts[walk.LINKED]) == (True, True, 250)


def test_other_claims_start_from_the_first_page(world: World, sandbox: Sandbox) -> None:
    many(world, sandbox, 150)
    first = existing_customer(world.stripe)  # Stripe lists the newest customer first
    next(pages(world))
    adopt(world, Source(metadata_key="workspace", rows={first: {"org_first"}}))
    assert len(list_links(world)) == 151


def test_second_run_at_the_same_time_stops(world: World, sandbox: Sandbox) -> None:
    many(world, sandbox, 150)
    one, other = pages(world), pages(world)
    next(one)
    with pytest.raises(ReconciliationInProgress):
        next(other)
    list(one)
    assert len(list_links(world)) == 150


def test_outage_leaves_a_run_that_resumes(world: World, sandbox: Sandbox) -> None:
    many(world, sandbox, 150)
    running = pages(world)
    next(running)
    world.fault("error_before", times=100)
    with pytest.raises(StripeUnavailable):
        list(running)
    world.end_faults()
    adopt(world)
    assert len(world.rows(PlanHistory)) == 150


def test_adopted_organization_can_change_its_plan(world: World) -> None:
    existing_customer(world.stripe, metadata=NAMED)
    adopt(world)
    api = world.api("org_ada")
    assert api.ok("PATCH", "/subscription", quantity=5)["state"] == "applied"
    assert api.ok("GET", "/subscription")["quantity"] == 5


def stamp(world: World, customer: str) -> str | None:
    metadata: dict[str, str] = world.stripe.v1.customers.retrieve(customer).to_dict()["metadata"]
    return metadata.get("organization_id")


def test_background_stamps_customers_and_copies_cards(world: World) -> None:
    ada = existing_customer(world.stripe, metadata=NAMED)
    world.stripe.v1.payment_methods.attach("pm_card_mastercard", {"customer": ada})
    adopt(world)
    assert [each.organization_id for each in world.rows(Adoption)] == ["org_ada"]
    assert list(completion.complete_all(world.gateway)) == ["org_ada"]
    assert stamp(world, ada) == "org_ada"
    assert {each.brand for each in world.rows(PaymentMethod)} == {"visa", "mastercard"}
    assert completion.count_incomplete(world.gateway) == 0


def test_adoption_queues_no_job_for_each_customer(world: World, sandbox: Sandbox) -> None:
    """Ten thousand jobs would keep the inbox waiting for an hour."""
    many(world, sandbox, 30)
    world.settle()
    adopt(world)
    with world.gateway.database.transaction() as session:
        queued = session.scalars(text("SELECT task_name FROM procrastinate_jobs WHERE status = 'todo'")).all()
    assert {jobs.REFRESH, jobs.LOOK_UP, jobs.FILL_MIRROR}.isdisjoint(queued)


def test_background_resumes_after_an_outage(world: World, sandbox: Sandbox) -> None:
    many(world, sandbox, 5)
    adopt(world)
    world.fault("error_before", path="/v1/customers/*", times=100)
    with pytest.raises(StripeUnavailable):
        list(completion.complete_all(world.gateway))
    assert completion.count_incomplete(world.gateway) == 5
    world.end_faults()
    assert len(list(completion.complete_all(world.gateway))) == 5
    assert completion.count_incomplete(world.gateway) == 0


def test_customer_deleted_before_its_stamp_ends_its_plan(world: World) -> None:
    ada = existing_customer(world.stripe, metadata=NAMED)
    adopt(world)
    world.fault("webhook_dropped", times=1000)
    world.stripe.v1.customers.delete(ada)
    list(completion.complete_all(world.gateway))
    [organization] = world.rows(Organization)
    assert (organization.deleted, world.plan_row("org_ada").plan) == (True, "free")
    assert completion.count_incomplete(world.gateway) == 0
