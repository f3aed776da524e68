"""The gateway lists invoices from the mirror and charges each at most once."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from gateway.app import build_gateway, create_app
from gateway.endpoints.request_context import EXTENSION
from tests.support.api import ApiClient, problem_of
from tests.support.json_types import Json
from tests.support.payment_methods import customer_of
from tests.support.world import NOWHERE, World


def bill(world: World, amount: int = 1000, *, finalized: bool = True) -> str:
    """Create an invoice at Stripe, as sales does, and return its id."""
    customer = customer_of(world)
    world.stripe.v1.invoice_items.create({"customer": customer, "amount": amount, "currency": "usd"})
    invoice = world.stripe.v1.invoices.create(
        {"customer": customer, "auto_advance": False, "pending_invoice_items_behavior": "include"}
    )
    if finalized:
        world.stripe.v1.invoices.finalize_invoice(invoice.id, {"auto_advance": False})
    world.settle()
    return invoice.id


def ids(invoices: Iterable[Json]) -> list[str]:
    return [each["id"] for each in invoices]


def paid_at_stripe(world: World) -> int:
    return sum(charge.amount for charge in world.stripe.v1.charges.list({"limit": 100}).data if charge.paid)


def test_invoices_are_listed_newest_first_without_calling_stripe(world: World, api: ApiClient) -> None:
    billed = [bill(world, amount) for amount in (100, 200, 300)]
    draft = bill(world, finalized=False)
    broken = create_app(build_gateway(replace(world.gateway.config, stripe_api_base=NOWHERE)))
    offline = ApiClient(broken.test_client(), world.token())
    everything = offline.ok("GET", "/invoices")
    broken.extensions[EXTENSION].close()
    assert set(billed) < set(ids(everything["data"]))
    assert [each["total"] for each in everything["data"] if each["id"] not in billed] == [0]  # the enrolment's invoice
    assert draft not in ids(everything["data"])
    created = [each["created"] for each in everything["data"]]
    assert created == sorted(created, reverse=True)
    pages, cursor = [], ""
    while True:
        page = api.ok("GET", f"/invoices?limit=3{cursor}")
        pages += ids(page["data"])
        if not page["has_more"]:
            break
        cursor = f"&starting_after={pages[-1]}"
    assert pages == ids(everything["data"])
    assert api.problem("GET", f"/invoices/{draft}") == (404, "not_found")


def test_plan_details_show_the_newest_invoice_that_is_listed(world: World, api: ApiClient) -> None:
    shown, draft = bill(world), bill(world, finalized=False)
    assert api.ok("GET", "/subscription")["latest_invoice"]["id"] == shown
    world.stripe.v1.invoices.delete(draft)
    world.settle()
    assert api.ok("GET", "/subscription")["latest_invoice"]["id"] == shown


def test_open_invoice_is_paid_by_the_default_card(world: World, api: ApiClient) -> None:
    invoice = bill(world, 1234)
    before = api.ok("GET", f"/invoices/{invoice}")
    assert (before["status"], before["amount_remaining"]) == ("open", 1234)
    paid = api.ok("POST", f"/invoices/{invoice}/pay")
    assert (paid["status"], paid["amount_paid"], paid["amount_remaining"]) == ("paid", 1234, 0)
    assert paid == api.ok("POST", f"/invoices/{invoice}/pay")
    assert paid.items() <= api.ok("GET", f"/invoices/{invoice}").items()
    assert paid_at_stripe(world) == 1234


def test_concurrent_payments_charge_an_invoice_once(world: World, api: ApiClient) -> None:
    invoice = bill(world)
    token = world.token()

    def pay(_: int) -> str:
        answer = ApiClient(world.client.application.test_client(), token).ok("POST", f"/invoices/{invoice}/pay")
        return str(answer["status"])

    with ThreadPoolExecutor(4) as threads:
        assert set(threads.map(pay, range(6))) == {"paid"}
    assert paid_at_stripe(world) == 1000
    assert api.ok("GET", f"/invoices/{invoice}")["status"] == "paid"


def test_repeated_payment_after_a_lost_answer_charges_once(world: World, api: ApiClient) -> None:
    invoice = bill(world)
    world.fault("webhook_dropped", times=100)
    world.fault("error_after", method="POST", path="/v1/invoices/*/pay")
    assert api.problem("POST", f"/invoices/{invoice}/pay") == (503, "stripe_unavailable")
    assert api.ok("POST", f"/invoices/{invoice}/pay")["status"] == "paid"
    assert paid_at_stripe(world) == 1000


def test_a_declined_card_is_402_and_the_invoice_stays_open(world: World, api: ApiClient) -> None:
    invoice = bill(world)
    api.add_card(world.stripe, "pm_card_chargeCustomerFail")
    assert api.problem("POST", f"/invoices/{invoice}/pay") == (402, "card_declined")
    assert api.ok("GET", f"/invoices/{invoice}")["status"] == "open"


def test_card_that_requires_approval_returns_stripes_page(world: World, api: ApiClient) -> None:
    invoice = bill(world)
    customer = customer_of(world)
    card = world.stripe.v1.payment_methods.attach("pm_card_authenticationRequired", {"customer": customer})
    api.ok("PUT", "/payment-methods/default", payment_method=card.id)
    answer = api("POST", f"/invoices/{invoice}/pay")
    assert problem_of(answer) == (402, "payment_action_required")
    assert answer.get_json()["hosted_invoice_url"] == api.ok("GET", f"/invoices/{invoice}")["hosted_invoice_url"]
    assert paid_at_stripe(world) == 0


def test_paying_a_just_voided_invoice_is_409(world: World, api: ApiClient) -> None:
    invoice = bill(world)
    world.stripe.v1.invoices.void_invoice(invoice)
    for _ in range(2):  # before its webhook is processed, and again afterwards
        assert api.problem("POST", f"/invoices/{invoice}/pay") == (409, "invoice_not_open")


def test_another_organizations_invoices_are_404(world: World, api: ApiClient) -> None:
    invoice = bill(world)
    other = world.api("org_2")
    assert other.ok("GET", "/invoices") == {"data": [], "has_more": False}
    for method, path in (("GET", f"/invoices/{invoice}"), ("POST", f"/invoices/{invoice}/pay")):
        assert other.problem(method, path) == (404, "not_found")
    assert other.problem("GET", f"/invoices?starting_after={invoice}") == (404, "not_found")
    assert api.problem("GET", "/invoices/%00") == (404, "not_found")
    assert paid_at_stripe(world) == 0


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "starting_after=in%0A1", "status=paid"])
def test_invalid_query_is_422(world: World, query: str) -> None:
    assert world.api().problem("GET", f"/invoices?{query}") == (422, "invalid_request")
