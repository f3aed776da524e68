"""Two operations on one organization's billing, run concurrently, and what must hold afterwards at Stripe."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from random import Random
from typing import Any

from stripe import Subscription as StripeSubscription
from werkzeug.test import TestResponse

from gateway.db.models import BillingIntent, Organization, PlanChange
from gateway.services.mirror.refresh import refresh
from gateway.stripe_api.snapshots import InvoiceSnapshot
from tests.support.api import ApiClient
from tests.support.json_types import Json
from tests.support.world import World

PLANS = {"konnect_free_usd_month": "free", "konnect_plus_usd_month": "plus"}
OPERATIONS = ("abandon", "upgrade", "quantity", "cancel", "delete_card", "set_default", "pay", "enrol")
STARTS = {  # the states from which an operation can succeed
    "abandon": ["waiting"],
    "upgrade": ["free"],
    "quantity": ["plus"],
    "cancel": ["plus"],
    "delete_card": ["free", "plus"],
    "set_default": ["free", "plus"],
    "pay": ["free", "plus"],
    "enrol": ["new"],
}
WRITES = {  # the call of each operation that the sandbox may delay, which widens the window of a race
    "abandon": "/v1/invoices/*/void",
    "upgrade": "/v1/subscriptions/*",
    "quantity": "/v1/subscriptions/*",
    "cancel": "/v1/subscriptions/*",
    "delete_card": "/v1/payment_methods/*/detach",
    "set_default": "/v1/customers/*",
    "pay": "/v1/invoices/*/pay",
    "enrol": "/v1/subscriptions*",
}
ASKS_ITS_HOLDER = "pm_card_authenticationRequired"
REFUSALS = {402, 404, 409, 422}  # 422 for a quantity of Free


@dataclass
class Subject:
    """An organization in a state from which the two operations start."""

    organization_id: str
    api: ApiClient
    cards: list[str] = field(default_factory=list)
    invoice_id: str = ""
    change_id: str = ""


class Pairs:
    """Runs pairs of operations, each on an organization of its own."""

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.random = Random(seed)  # noqa: S311 - no secret
        self.subjects: list[Subject] = []
        self.answers: list[tuple[str, str, str, int]] = []
        """The start, the two operations, and the status of each answer."""

    def run(self, first: str, second: str) -> None:
        """Run both operations at the same moment."""
        starts = STARTS["abandon"] if "abandon" in (first, second) else STARTS[first] + STARTS[second]
        start = self.random.choice(starts)
        subject = self.prepare(start, bills="pay" in (first, second))
        calls = [self.build_call(name, subject) for name in (first, second)]
        self.random.shuffle(calls)
        delayed = self.random.choice((first, second))
        self.world.fault("delay", method="POST", path=WRITES[delayed], seconds=self.random.uniform(0.01, 0.08))
        barrier = threading.Barrier(2)

        def call_at_the_barrier(call: Callable[[ApiClient], TestResponse]) -> TestResponse:
            api = ApiClient(self.world.client.application.test_client(), self.world.token(subject.organization_id))
            barrier.wait()
            return call(api)

        with ThreadPoolExecutor(2) as threads:
            responses = list(threads.map(call_at_the_barrier, calls))
        self.world.end_faults()
        for response in responses:
            assert response.status_code < 300 or response.status_code in REFUSALS, response.get_data(as_text=True)
            self.answers.append((start, first, second, response.status_code))

    def prepare(self, start: str, *, bills: bool) -> Subject:
        """Bring a new organization to a start: with two cards, and with an open invoice if ``bills``."""
        organization_id = f"org_{len(self.subjects)}"
        subject = Subject(organization_id, self.world.api(organization_id))
        self.subjects.append(subject)
        if start != "new":
            subject.api.ok("POST", "/subscription", plan="free")
        template = ASKS_ITS_HOLDER if start == "waiting" else "pm_card_visa"
        subject.cards = [subject.api.add_card(self.world.stripe, template)]
        customer = self.customer_of(organization_id)
        subject.cards.append(self.world.stripe.v1.payment_methods.attach("pm_card_amex", {"customer": customer}).id)
        if start == "plus":
            subject.api.ok("PATCH", "/subscription", plan="plus")
        if start == "waiting":
            subject.change_id = subject.api.ok("PATCH", "/subscription", plan="plus")["id"]
            subject.invoice_id = str(self.subscription_of(customer).latest_invoice)
        elif bills:
            subject.invoice_id = self.bill(customer)
        return subject

    def bill(self, customer: str) -> str:
        """Make an open invoice at Stripe that the mirror knows."""
        v1 = self.world.stripe.v1
        v1.invoice_items.create({"customer": customer, "amount": 700, "currency": "usd"})
        invoice = v1.invoices.create(
            {"customer": customer, "auto_advance": False, "pending_invoice_items_behavior": "include"}
        )
        v1.invoices.finalize_invoice(invoice.id, {"auto_advance": False})
        refresh(self.world.gateway, InvoiceSnapshot.kind, invoice.id)
        return invoice.id

    def build_call(self, name: str, subject: Subject) -> Callable[[ApiClient], TestResponse]:
        """Return the call of an operation."""
        quantity = self.random.randint(2, 4)
        card = self.random.choice(subject.cards)
        requests: dict[str, tuple[str, str, Json]] = {
            "abandon": ("DELETE", f"/subscription/changes/{subject.change_id}", {}),
            "upgrade": ("PATCH", "/subscription", {"plan": "plus"}),
            "quantity": ("PATCH", "/subscription", {"quantity": quantity}),
            "cancel": ("DELETE", "/subscription", {}),
            "delete_card": ("DELETE", f"/payment-methods/{card}", {}),
            "set_default": ("PUT", "/payment-methods/default", {"payment_method": card}),
            "pay": ("POST", f"/invoices/{subject.invoice_id}/pay", {}),
            "enrol": ("POST", "/subscription", {"plan": "plus"}),
        }
        method, path, body = requests[name]
        return lambda api: api(method, path, **body)

    def check(self) -> None:
        """Let the webhooks and jobs run, and compare every organization with Stripe."""
        self.world.settle()
        assert self.world.rows(BillingIntent) == []
        for change in self.list_open_changes():  # an upgrade after an abandonment may wait for the cardholder again
            assert change.state == "requires_action", self.answers
            self.world.api(change.organization_id).ok("DELETE", f"/subscription/changes/{change.id}")
        assert self.list_open_changes() == []
        for subject in self.subjects:
            self.check_organization(subject)

    def list_open_changes(self) -> list[PlanChange]:
        return [row for row in self.world.rows(PlanChange) if row.ended_at is None]

    def check_organization(self, subject: Subject) -> None:
        customer = self.customer_of(subject.organization_id)
        subscriptions = self.world.stripe.v1.subscriptions.list({"customer": customer, "status": "all"}).data
        assert len(subscriptions) <= 1
        for subscription in subscriptions:
            [item] = subscription.to_dict()["items"]["data"]
            plan = PLANS[item["price"]["lookup_key"]]
            row = self.world.plan_row(subject.organization_id)
            assert (row.plan, row.quantity) == (plan, item["quantity"])
            assert plan == "free" or self.find_way_to_pay(subscription) is not None, self.answers
        self.check_charges(subject, customer)

    def find_way_to_pay(self, subscription: StripeSubscription) -> Any:
        """Return the payment method that Stripe would charge."""
        settings = self.world.stripe.v1.customers.retrieve(str(subscription.customer)).invoice_settings
        return subscription.default_payment_method or (settings and settings.default_payment_method)

    def check_charges(self, subject: Subject, customer: str) -> None:
        """Check that each paid invoice was charged once, and that each change to Plus was billed once."""
        v1 = self.world.stripe.v1
        invoices = {each.id: each for each in v1.invoices.list({"customer": customer, "limit": 100}).data}
        charges = [each.amount for each in v1.charges.list({"customer": customer, "limit": 100}).data if each.paid]
        assert sorted(charges) == sorted(each.amount_paid for each in invoices.values() if each.amount_paid)
        items = v1.invoice_items.list({"customer": customer, "limit": 100}).data
        billed = [each for each in items if each.proration and each.amount > 0]
        billed = [each for each in billed if each.invoice is None or invoices[str(each.invoice)].status != "void"]
        applied = [
            row
            for row in self.world.rows(PlanChange)
            if (row.organization_id, row.to_plan, row.state) == (subject.organization_id, "plus", "applied")
        ]
        assert len(billed) == len(applied)

    def customer_of(self, organization_id: str) -> str:
        with self.world.gateway.database.transaction() as session:
            return session.get_one(Organization, organization_id).stripe_customer_id or ""

    def subscription_of(self, customer: str) -> StripeSubscription:
        [subscription] = self.world.stripe.v1.subscriptions.list({"customer": customer}).data
        return subscription
