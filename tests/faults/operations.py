"""Prepares an organization for each kind of billing operation, and checks what became of the operation."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import requests

from gateway.services.intents.reservation import Kind, reserve
from gateway.services.mirror.refresh import refresh
from gateway.stripe_api.snapshots import InvoiceSnapshot
from tests.faults.changes import ASKS_ITS_HOLDER, GOOD, enrol, interface, last_change
from tests.support.deployment import Deployment
from tests.support.json_types import Json
from tests.support.wait import eventually

CUSTOMER = "SELECT stripe_customer_id FROM organizations WHERE id = %s"
IN_FLIGHT = "SELECT count(*) FROM billing_intents"


@dataclass
class Wanted:
    """An operation that an organization is about to ask for."""

    stage: Deployment
    organization_id: str
    kind: Kind
    object_id: str
    path: str

    def ask(self) -> None:
        """Send its request. The web process dies during it, so there may be no answer."""
        method = {Kind.SET_DEFAULT_PAYMENT_METHOD: "PUT", Kind.PAY_INVOICE: "POST"}.get(self.kind, "DELETE")
        body: Json = {"payment_method": self.object_id} if method == "PUT" else {}
        with suppress(requests.ConnectionError):
            answer = self.stage.api(self.organization_id, method, self.path, **body)
            raise AssertionError(answer.text)

    def reserve(self) -> None:
        """Reserve it and do nothing more, like a web process that dies right after the commit."""
        assert reserve(self.stage.gateway, self.organization_id, self.kind, self.object_id, lambda _: True) is not None


def want_default(stage: Deployment) -> Wanted:
    enrol(stage, "org_default", GOOD)
    card = attach(stage, "org_default")
    return Wanted(stage, "org_default", Kind.SET_DEFAULT_PAYMENT_METHOD, card, "/payment-methods/default")


def want_deletion(stage: Deployment) -> Wanted:
    enrol(stage, "org_delete", GOOD)
    with interface(stage, "org_delete") as api:
        [card] = api.ok("GET", "/payment-methods")["data"]
    return Wanted(stage, "org_delete", Kind.DELETE_PAYMENT_METHOD, card["id"], f"/payment-methods/{card['id']}")


def want_payment(stage: Deployment) -> Wanted:
    enrol(stage, "org_pay", GOOD)
    [(customer,)] = stage.rows(CUSTOMER, "org_pay")
    v1 = stage.stripe.v1
    v1.invoice_items.create({"customer": customer, "amount": 700, "currency": "usd"})
    invoice = v1.invoices.create(
        {"customer": customer, "auto_advance": False, "pending_invoice_items_behavior": "include"}
    )
    v1.invoices.finalize_invoice(invoice.id, {"auto_advance": False})
    refresh(stage.gateway, InvoiceSnapshot.kind, invoice.id)
    return Wanted(stage, "org_pay", Kind.PAY_INVOICE, invoice.id, f"/invoices/{invoice.id}/pay")


def want_abandonment(stage: Deployment) -> Wanted:
    enrol(stage, "org_abandon", ASKS_ITS_HOLDER)
    with interface(stage, "org_abandon") as api:
        assert api("PATCH", "/subscription", plan="plus").status_code == 202
    change_id, _ = last_change(stage, "org_abandon")
    return Wanted(stage, "org_abandon", Kind.ABANDON_CHANGE, change_id, f"/subscription/changes/{change_id}")


WANTS: dict[Kind, Callable[[Deployment], Wanted]] = {
    Kind.SET_DEFAULT_PAYMENT_METHOD: want_default,
    Kind.DELETE_PAYMENT_METHOD: want_deletion,
    Kind.PAY_INVOICE: want_payment,
    Kind.ABANDON_CHANGE: want_abandonment,
}


def attach(stage: Deployment, organization_id: str) -> str:
    """Put a second card on file."""
    [(customer,)] = stage.rows(CUSTOMER, organization_id)
    return stage.stripe.v1.payment_methods.attach(GOOD, {"customer": customer}).id


def assert_done_once(wanted: Wanted) -> None:
    """Check that Stripe did the operation once, that the tables show it, and that the organization can make another."""
    stage = wanted.stage
    [(customer,)] = stage.rows(CUSTOMER, wanted.organization_id)
    if wanted.kind is Kind.PAY_INVOICE:
        charges = [each.amount for each in stage.stripe.v1.charges.list({"customer": customer}).data if each.paid]
        assert charges == [700]
        assert stage.rows("SELECT status FROM invoices WHERE id = %s", wanted.object_id) == [("paid",)]
    elif wanted.kind is Kind.ABANDON_CHANGE:
        assert last_change(stage, wanted.organization_id)[1] == "abandoned"
        with interface(stage, wanted.organization_id) as api:
            api.add_card(stage.stripe, GOOD)
    else:
        settings = stage.stripe.v1.customers.retrieve(customer).invoice_settings
        default = wanted.object_id if wanted.kind is Kind.SET_DEFAULT_PAYMENT_METHOD else None
        assert settings is not None
        assert settings.default_payment_method == default
        mirrored = "SELECT default_payment_method_id FROM organizations WHERE id = %s"
        # A refresh settles the third state of one second.
        eventually(lambda: stage.rows(mirrored, wanted.organization_id) == [(default,)])
    with interface(stage, wanted.organization_id) as api:
        if wanted.kind is Kind.DELETE_PAYMENT_METHOD:
            assert api.problem("PATCH", "/subscription", plan="plus") == (402, "payment_method_required")
        else:
            assert api.ok("PATCH", "/subscription", plan="plus")["state"] == "applied"
