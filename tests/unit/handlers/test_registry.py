"""The registry handles every type of the families, each one once, and no other type."""

import subprocess
import sys
from typing import Any, get_args

import pytest
import stripe

from gateway.stripe_api.snapshots import Event, Snapshot
from handlers import HANDLERS, IGNORED
from handlers.registry import handles

EXPECTED = {
    "customer": {"customer.created", "customer.updated"},
    "customer_deleted": {"customer.deleted"},
    "subscription": {
        "customer.subscription.created",
        "customer.subscription.deleted",
        "customer.subscription.paused",
        "customer.subscription.pending_update_applied",
        "customer.subscription.pending_update_expired",
        "customer.subscription.resumed",
        "customer.subscription.trial_will_end",
        "customer.subscription.updated",
    },
    "invoice": {
        "invoice.created",
        "invoice.finalization_failed",
        "invoice.finalized",
        "invoice.marked_uncollectible",
        "invoice.overdue",
        "invoice.overpaid",
        "invoice.paid",
        "invoice.payment_attempt_required",
        "invoice.payment_failed",
        "invoice.payment_succeeded",
        "invoice.sent",
        "invoice.updated",
        "invoice.voided",
        "invoice.will_be_due",
    },
    "checkout_session": {
        "checkout.session.async_payment_failed",
        "checkout.session.async_payment_succeeded",
        "checkout.session.completed",
    },
    "charge_refunded": {"charge.refunded"},
    "charge_in_question": {
        "charge.dispute.closed",
        "charge.dispute.created",
        "charge.dispute.funds_reinstated",
        "charge.dispute.funds_withdrawn",
        "charge.dispute.updated",
        "refund.failed",
    },
    "credit_note": {"credit_note.created", "credit_note.updated", "credit_note.voided"},
    "invoice_payment_paid": {"invoice_payment.paid"},
    "payment_intent_processing": {"payment_intent.processing"},
    "setup_intent_succeeded": {"setup_intent.succeeded"},
    "subscription_schedule": {
        "subscription_schedule.aborted",
        "subscription_schedule.canceled",
        "subscription_schedule.completed",
        "subscription_schedule.created",
        "subscription_schedule.updated",
    },
    "subscription_schedule_released": {"subscription_schedule.released"},
    "discount": {"customer.discount.created", "customer.discount.deleted", "customer.discount.updated"},
    "invoice_deleted": {"invoice.deleted"},
    "invoice_payment_action_required": {"invoice.payment_action_required"},
    "invoice_upcoming": {"invoice.upcoming"},
    "payment_method": {
        "payment_method.attached",
        "payment_method.automatically_updated",
        "payment_method.updated",
    },
    "payment_method_detached": {"payment_method.detached"},
    "price": {"price.created", "price.updated"},
    "price_deleted": {"price.deleted"},
    "product": {"product.created", "product.updated"},
    "product_deleted": {"product.deleted"},
}


def test_each_type_has_the_handler_of_its_family() -> None:
    found: dict[str, set[str]] = {}
    for kind, handler in HANDLERS.items():
        found.setdefault(getattr(handler, "__name__", ""), set()).add(kind)
    assert found == EXPECTED


def test_every_handled_type_is_in_the_sdk() -> None:
    assert HANDLERS.keys() <= set(get_args(stripe.Event.__annotations__["type"]))


NEAR = (
    "billing.",
    "charge.",
    "checkout.",
    "credit_note.",
    "customer.",
    "entitlements.",
    "invoice",  # and invoice_payment, invoiceitem
    "payment_intent.",
    "payment_method.",
    "plan.",
    "price.",
    "product.",
    "refund.",
    "setup_intent.",
    "subscription_schedule.",
)


def test_every_relevant_type_is_handled_or_ignored_on_purpose() -> None:
    """A new SDK may bring a new type, and someone must decide whether to handle or ignore it."""
    near = {each for each in get_args(stripe.Event.__annotations__["type"]) if each.startswith(NEAR)}
    assert near - HANDLERS.keys() == IGNORED.keys()
    assert not HANDLERS.keys() & IGNORED.keys()
    assert all(IGNORED.values())


def test_a_second_handler_for_a_type_is_refused() -> None:
    first = HANDLERS["invoice.paid"]

    def second(event: Event) -> list[Snapshot]:
        raise AssertionError(event)

    with pytest.raises(ValueError, match=r"^invoice\.paid has a handler already$"):
        handles("invoice.paid")(second)
    assert HANDLERS["invoice.paid"] is first


@pytest.mark.parametrize("kind", ["charge.succeeded", "invoice", "invoice.paid ", "INVOICE.PAID", "", "customer.*"])
def test_an_unknown_type_has_no_handler(kind: str) -> None:
    assert HANDLERS.get(kind) is None


def test_the_registry_is_read_only() -> None:
    table: Any = HANDLERS
    with pytest.raises(TypeError):
        table["invoice.paid"] = None


def test_every_handler_module_is_imported() -> None:
    """A handler module that no code imports registers nothing, and the gateway would silently ignore its events."""
    program = "import handlers; print(len(handlers.HANDLERS))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(done.stdout) == sum(map(len, EXPECTED.values()))
