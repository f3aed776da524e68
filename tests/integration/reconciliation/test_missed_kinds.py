"""The drift walk names every kind of difference that lost webhooks leave, and heals it."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
import requests

from gateway.db.models import Invoice, PaymentMethod
from gateway.sandbox import Sandbox
from gateway.services.reconciliation import drift
from tests.support.accounts import subscribe
from tests.support.clock import DAY, StripeTime
from tests.support.payment_methods import attach, customer_of, shown, subscription_of
from tests.support.plans import on_plus
from tests.support.reconciliation import drop_webhooks
from tests.support.saved_state import set_up_once
from tests.support.world import World

Found = set[tuple[str, str, str]]
"""Kind, cause and resolution of each difference."""


@pytest.fixture
def plus(world: World, stripe_time: StripeTime) -> World:
    """Put an organization with three payment methods on Plus, and process all events."""

    def set_up() -> None:
        on_plus(world)
        attach(world, "pm_card_amex")
        method = attach(world, "pm_card_mastercard")
        update(world, default_payment_method=method)
        world.settle()

    set_up_once(world, "with three payment methods on Plus", set_up)
    stripe_time.ahead = 60
    return world


def update(world: World, **params: Any) -> None:
    """Update the subscription at Stripe, without the gateway."""
    world.stripe.v1.subscriptions.update(subscription_of(world), params)  # type: ignore[arg-type]  # plain parameters


def coupon(world: World, percent: int) -> str:
    return world.stripe.v1.coupons.create({"percent_off": percent, "duration": "forever"}).id


def walk(world: World, *, dry_run: bool = False) -> Found:
    found = [each for page in drift.walk(world.gateway, dry_run=dry_run) for each in page.differences]
    return {(each.kind, each.cause, each.resolution) for each in found}


def check_healed(world: World, stripe_time: StripeTime, named: set[tuple[str, str]]) -> None:
    """Check that a dry run names the differences, that a run heals them, and that nothing is left."""
    stripe_time.ahead += 60
    assert walk(world, dry_run=True) == {(*each, "would_heal") for each in named}
    assert walk(world) >= {(*each, "healed") for each in named}
    world.work()
    stripe_time.ahead += 60
    assert walk(world) == set()


def another_default(world: World) -> None:
    method = attach(world, "pm_card_jcb")
    world.stripe.v1.customers.update(
        customer_of(world), {"invoice_settings": {"default_payment_method": method}, "name": "Renamed"}
    )


def another_own_method(world: World) -> None:
    update(world, default_payment_method=attach(world, "pm_card_jcb"))


def expired_card(world: World) -> None:
    [own] = [each for each in world.rows(PaymentMethod) if each.brand == "mastercard"]
    world.stripe.v1.payment_methods.update(own.id, {"card": {"exp_month": 3, "exp_year": 2035}})


def added_card(world: World) -> None:
    """Add a card that is not the default, as a browser does."""
    secret = world.api().ok("POST", "/billing-details/setup-intent")["client_secret"]
    world.stripe.v1.setup_intents.confirm(secret.split("_secret_")[0], {"payment_method": "pm_card_visa"})


def detached_card(world: World) -> None:
    [spare] = [each for each in world.rows(PaymentMethod) if each.brand == "amex"]
    world.stripe.v1.payment_methods.detach(spare.id)


def detached_own_method(world: World) -> None:
    [own] = [each for each in world.rows(PaymentMethod) if each.brand == "mastercard"]
    world.stripe.v1.payment_methods.detach(own.id)


def subscription_discount(world: World) -> None:
    update(world, discounts=[{"coupon": coupon(world, 20)}])


def item_discount(world: World) -> None:
    [item] = world.stripe.v1.subscriptions.retrieve(subscription_of(world))["items"].data
    update(world, items=[{"id": item.id, "discounts": [{"coupon": coupon(world, 10)}]}])


def promotion_code(world: World) -> None:
    promotion = world.stripe.v1.promotion_codes.create(
        {"promotion": {"type": "coupon", "coupon": coupon(world, 5)}, "code": "SPRING"}
    )
    update(world, discounts=[{"promotion_code": promotion.id}])


def customer_discount(world: World) -> None:
    """Give the customer a discount, which only Stripe's dashboard can."""
    address = f"{world.gateway.config.stripe_api_base}/_sandbox/customers/{customer_of(world)}/discount"
    assert requests.post(address, json={"coupon": coupon(world, 30)}, timeout=5).ok


def scheduled_end(world: World) -> None:
    update(world, cancel_at_period_end=True)


def end_at_a_time(world: World) -> None:
    update(world, cancel_at=int(datetime.now(UTC).timestamp()) + 20 * DAY)


def paused_collection(world: World) -> None:
    update(world, pause_collection={"behavior": "void", "resumes_at": int(datetime.now(UTC).timestamp()) + 40 * DAY})


def sent_invoices(world: World) -> None:
    update(world, collection_method="send_invoice", days_until_due=30)


def one_off_invoice(world: World) -> None:
    invoice = world.stripe.v1.invoices.create({"customer": customer_of(world)})
    world.stripe.v1.invoice_items.create(
        {"customer": customer_of(world), "invoice": invoice.id, "amount": 700, "currency": "usd"}
    )
    world.stripe.v1.invoices.finalize_invoice(invoice.id)


def draft(world: World) -> None:
    world.stripe.v1.invoices.create({"customer": customer_of(world)})


def written_off(world: World) -> None:
    one_off_invoice(world)
    [invoice] = world.stripe.v1.invoices.list({"status": "open"}).data
    world.stripe.v1.invoices.mark_uncollectible(invoice.id)


KINDS: dict[Callable[[World], None], set[tuple[str, str]]] = {
    another_default: {("customer", "missed_event"), ("payment_method", "missed_event")},
    another_own_method: {("subscription", "missed_event"), ("payment_method", "missed_event")},
    expired_card: {("payment_method", "missed_event")},
    added_card: {("payment_method", "missed_event")},
    detached_card: {("payment_method", "missed_event")},
    detached_own_method: {("subscription", "missed_event"), ("payment_method", "missed_event")},
    subscription_discount: {("subscription", "missed_event"), ("discounts", "missed_event")},
    item_discount: {("subscription", "missed_event"), ("discounts", "missed_event")},
    promotion_code: {("subscription", "missed_event"), ("discounts", "missed_event")},
    customer_discount: {("discounts", "missed_event")},
    scheduled_end: {("subscription", "dashboard_edit")},
    end_at_a_time: {("subscription", "dashboard_edit")},
    paused_collection: {("subscription", "missed_event")},
    sent_invoices: {("subscription", "missed_event")},
    one_off_invoice: {("invoice", "missed_event")},
    draft: {("invoice", "missed_event")},
    written_off: {("invoice", "missed_event")},
}


@pytest.mark.parametrize("change", KINDS, ids=lambda each: each.__name__)
def test_missed_change_is_named_and_healed(
    plus: World, sandbox: Sandbox, stripe_time: StripeTime, change: Callable[[World], None]
) -> None:
    drop_webhooks(plus, sandbox)
    change(plus)
    check_healed(plus, stripe_time, KINDS[change])


def test_unpaid_invoice_paid_meanwhile_is_healed(plus: World, sandbox: Sandbox, stripe_time: StripeTime) -> None:
    one_off_invoice(plus)
    drop_webhooks(plus, sandbox)
    [invoice] = plus.stripe.v1.invoices.list({"status": "open"}).data
    plus.stripe.v1.invoices.pay(invoice.id)
    check_healed(plus, stripe_time, {("invoice", "missed_event")})
    assert plus.rows(Invoice)[-1].status == "paid"


@pytest.mark.parametrize("status", ["paid", "void", "deleted"])
def test_draft_settled_meanwhile_is_healed(plus: World, sandbox: Sandbox, stripe_time: StripeTime, status: str) -> None:
    invoices = plus.stripe.v1.invoices
    made = invoices.create({"customer": customer_of(plus)}).id
    plus.stripe.v1.invoice_items.create(
        {"customer": customer_of(plus), "invoice": made, "amount": 700, "currency": "usd"}
    )
    plus.settle()
    drop_webhooks(plus, sandbox)
    if status == "deleted":
        invoices.delete(made)
    else:
        invoices.finalize_invoice(made)
        (invoices.pay if status == "paid" else invoices.void_invoice)(made)
    check_healed(plus, stripe_time, {("invoice", "missed_event")})
    assert [each.status for each in plus.rows(Invoice) if each.id == made] == [status]


def test_charged_method_is_shown_after_the_walk(plus: World, sandbox: Sandbox, stripe_time: StripeTime) -> None:
    drop_webhooks(plus, sandbox)
    another_own_method(plus)
    check_healed(plus, stripe_time, {("subscription", "missed_event"), ("payment_method", "missed_event")})
    assert shown(plus.api())["label"].startswith("Jcb")


def test_missed_end_of_a_customer_discount_is_healed(plus: World, sandbox: Sandbox, stripe_time: StripeTime) -> None:
    customer_discount(plus)
    plus.settle()
    drop_webhooks(plus, sandbox)
    plus.stripe.v1.customers.delete_discount(customer_of(plus))
    check_healed(plus, stripe_time, {("discounts", "missed_event")})
    assert plus.api().ok("GET", "/subscription")["discounts"] == []


def test_dashboard_duplicate_is_named_when_no_event_came(
    plus: World, sandbox: Sandbox, stripe_time: StripeTime
) -> None:
    drop_webhooks(plus, sandbox)
    subscribe(plus, customer_of(plus), "plus")
    stripe_time.ahead += 60
    assert ("subscription", "duplicate_subscription", "not_healed") in walk(plus)
    stripe_time.ahead += 60
    plus.work()
    assert walk(plus) == {("subscription", "duplicate_subscription", "not_healed")}
