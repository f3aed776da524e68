"""Records the payloads beside this module from the local sandbox, with a fixed seed and clock.

``python -m tests.unit.handlers.record`` rewrites them, and the tests only read them. The first story is short, and in
the second one time passes. The sandbox sends no deletions and no upcoming invoice, so this module derives those events
from other events. It builds objects that the sandbox does not have from the fields of the SDK's classes.
"""

import json
from pathlib import Path
from typing import Any

from gateway.sandbox import Sandbox
from tests.support.clock import ManualClock
from tests.support.json_types import Json
from tests.support.stripe_account import StripeAccount, plain
from tests.unit.handlers.record_built import build_payloads
from tests.unit.handlers.record_year import record_year

PAYLOADS = Path(__file__).with_name("payloads")
START = 1_793_491_200  # 2026-11-01T00:00:00Z
DAY = 86400
KEY = "00000000-0000-4000-8000-000000000000"


def story(account: StripeAccount, clock: ManualClock) -> tuple[list[Json], Json]:
    """Let Acme enrol, add a card, take Plus, change the quantity and cancel. Return the events and a preview."""
    v1 = account.v1

    def plan(key: str, name: str, amount: int) -> str:
        product = v1.products.create({"name": name, "metadata": {"konnect_plan": key}})
        price: Any = {"product": product.id, "unit_amount": amount, "currency": "usd"}
        price |= {"recurring": {"interval": "month"}, "lookup_key": f"konnect_{key}_usd_month"}
        return v1.prices.create(price).id

    def after(seconds: int) -> None:
        clock.now += seconds

    free, plus = plan("free", "Free", 0), plan("plus", "Plus", 25000)
    after(60)
    organization = {"organization_id": "org_1"}
    customer = v1.customers.create({"name": "Acme", "email": "owner@acme.example", "metadata": organization}).id
    after(60)
    subscription = v1.subscriptions.create(
        {
            "customer": customer,
            "items": [{"price": free, "quantity": 1}],
            "billing_mode": {"type": "flexible"},
            "metadata": {**organization, "change_id": "chg_1"},
        }
    )
    after(60)
    card = v1.payment_methods.attach("pm_card_visa", {"customer": customer}).id
    v1.customers.update(customer, {"invoice_settings": {"default_payment_method": card}})
    after(3 * DAY)
    account.swap(subscription, plus, 3, proration_behavior="create_prorations", metadata={"change_id": "chg_2"})
    after(DAY)
    preview = plain(v1.invoices.create_preview({"subscription": subscription.id}))
    account.swap(subscription, plus, 4, proration_behavior="always_invoice")
    after(DAY)
    v1.products.update(plan_product(account, plus), {"name": "Plus for teams"})
    other = v1.payment_methods.attach("pm_card_mastercard", {"customer": customer}).id
    after(60)
    v1.payment_methods.detach(other)
    v1.prices.update(plus, {"lookup_key": "konnect_plus_usd_month_2"})
    after(60)
    v1.subscriptions.cancel(subscription.id)
    return [plain(event) for event in account.events()], preview


def plan_product(account: StripeAccount, price: str) -> str:
    """Return the product of a price."""
    product = account.v1.prices.retrieve(price).product
    assert isinstance(product, str)
    return product


def payloads(events: list[Json], preview: Json) -> dict[str, Json]:
    """Return the last event of each type that the tests use, and the derived events."""
    last = {event["type"]: event for event in events}
    recorded = [
        "customer.created",
        "customer.updated",
        "customer.subscription.created",
        "customer.subscription.updated",
        "customer.subscription.deleted",
        "invoice.created",
        "invoice.updated",
        "invoice.paid",
        "payment_method.attached",
        "payment_method.detached",
        "price.created",
        "price.updated",
        "product.created",
        "product.updated",
    ]
    found: dict[str, Json] = {name: last[name] for name in recorded}
    for deleted, source in {
        "customer.deleted": "customer.updated",
        "invoice.deleted": "invoice.created",
        "price.deleted": "price.updated",
        "product.deleted": "product.updated",
    }.items():
        found[deleted] = derived(last[source], deleted, last[source]["data"]["object"])
    upcoming = {name: value for name, value in preview.items() if name != "id"}
    upcoming |= {"billing_reason": "upcoming", "status": "draft"}
    found["invoice.upcoming"] = derived(last["invoice.created"], "invoice.upcoming", upcoming)
    return found


def derived(event: Json, event_type: str, obj: Json) -> Json:
    """Return an event like ``event``, but of another type, with another object, and a minute later."""
    changed = {"id": f"{event['id'][:-4]}dddd", "type": event_type, "created": event["created"] + 60}
    return event | changed | {"data": {"object": obj}}


def main() -> None:
    """Record both stories and write the files."""
    clock = ManualClock(START)
    with Sandbox(clock=clock, seed="payloads") as sandbox:
        found = payloads(*story(StripeAccount(sandbox), clock))
        write(found, sandbox.url)
    with Sandbox(clock=ManualClock(START), seed="a year") as sandbox:
        write(record_year(StripeAccount(sandbox), START), sandbox.url)
    write(build_payloads(found), sandbox.url)


def write(found: dict[str, Json], url: str) -> None:
    """Write one file for each type."""
    PAYLOADS.mkdir(exist_ok=True)
    for name, event in found.items():
        if event["request"]["idempotency_key"]:
            event = event | {"request": {**event["request"], "idempotency_key": KEY}}  # noqa: PLW2901 - the SDK's key is random
        text = json.dumps(event, indent=2, sort_keys=True).replace(url, "https://stripe.test")
        (PAYLOADS / f"{name}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
