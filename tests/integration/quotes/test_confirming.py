"""A confirmed quote is charged exactly. A quote that no longer holds is replaced by a new one."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
import requests
from sqlalchemy import update
from structlog.testing import capture_logs

from gateway.db.models import Invoice, PlanChange, Subscription
from gateway.endpoints.metrics import render
from gateway.errors import QuoteExpired
from gateway.services.operations.inspection import list_changes
from gateway.services.plan_changes.charge_check import check_charge
from gateway.services.plan_changes.confirm import confirm_change
from gateway.services.quotes.preview import Quote, quote_change
from gateway.services.quotes.token import ALGORITHM, AUDIENCE, derive_signing_key, read_token
from schemas.changes import ChangeCommand
from tests.support.api import ApiClient, problem_of
from tests.support.clock import StripeTime
from tests.support.json_types import Json
from tests.support.payment_methods import customer_of
from tests.support.world import CALLER, World


def last_change(world: World) -> PlanChange:
    return max(world.rows(PlanChange), key=lambda change: change.created_at)


def test_stale_quote_is_refused_with_a_valid_one(api: ApiClient) -> None:
    old = api.ok("POST", "/subscription/preview", plan="plus", quantity=5)
    api.ok("PATCH", "/subscription", plan="plus", quantity=2)
    refused = api("PATCH", "/subscription", quote=old["token"])
    assert (refused.status_code, refused.get_json()["code"]) == (409, "quote_stale")
    new: Json = refused.get_json()["quote"]
    assert (new["plan"], new["quantity"]) == ("plus", 5)
    assert api.ok("PATCH", "/subscription", quote=new["token"])["quantity"] == 5


def test_stale_quote_stays_stale_when_the_plan_returns(api: ApiClient) -> None:
    old = api.ok("POST", "/subscription/preview", plan="plus")
    api.ok("PATCH", "/subscription", plan="plus", quantity=2)
    api.ok("DELETE", "/subscription")  # the same plan again, but charges now wait for the billing date
    refused = api("PATCH", "/subscription", quote=old["token"])
    assert (refused.status_code, refused.get_json()["code"]) == (409, "quote_stale")


def test_an_expired_quote_is_refused_with_a_new_one(world: World, api: ApiClient) -> None:
    old = api.ok("POST", "/subscription/preview", plan="plus", quantity=5)
    later = replace(world.gateway, clock=lambda: datetime.now(UTC) + timedelta(minutes=16))
    with pytest.raises(QuoteExpired) as refused:
        confirm_change(later, CALLER, ChangeCommand(quote=old["token"]))
    new = refused.value.members["quote"]
    assert isinstance(new, Quote)
    assert (new.plan, new.quantity) == ("plus", 5)
    assert confirm_change(later, CALLER, ChangeCommand(quote=new.token)).state == "applied"


def test_quote_expires_at_an_earlier_billing_date(world: World, api: ApiClient) -> None:
    end = datetime.fromisoformat(api.ok("GET", "/subscription")["current_period"]["end"])
    late = replace(world.gateway, clock=lambda: end - timedelta(minutes=5))
    quote = quote_change(late, CALLER, "plus", 5)
    assert quote.expires_at == end
    with pytest.raises(QuoteExpired):
        read_token(world.gateway.config, quote.token, end)
    in_time = read_token(world.gateway.config, quote.token, end - timedelta(seconds=1))
    assert (in_time.plan, in_time.quantity) == ("plus", 5)


@pytest.mark.parametrize(
    ("terms", "body", "quoted"),
    [
        ({"plan": "plus", "quantity": 5, "coupon": "autumn"}, {}, ("plus", 5)),
        ({"target": "plus", "units": 5}, {"plan": "plus", "quantity": 5}, ("plus", 5)),
        ({"target": "plus", "units": 5}, {}, None),  # the token does not show what the caller wanted
        ({"plan": "plus"}, {}, None),
        ({"plan": "plus", "quantity": "5"}, {}, None),
        ({"plan": {"key": "plus"}, "quantity": 5}, {}, None),
        (None, {}, None),
    ],
)
def test_quote_with_unknown_terms_is_refused_with_a_new_one(
    world: World, api: ApiClient, terms: Any, body: Json, quoted: tuple[str, int] | None
) -> None:
    claims = {"aud": AUDIENCE, "exp": datetime.now(UTC) + timedelta(minutes=5), "terms": terms}
    token = jwt.encode(claims, derive_signing_key(world.gateway.config), ALGORITHM)
    refused = api("PATCH", "/subscription", quote=token, **body)
    assert (refused.status_code, refused.get_json()["code"]) == (409, "quote_expired")
    new = refused.get_json().get("quote")
    assert (new and (new["plan"], new["quantity"])) == quoted


def test_stale_quote_without_anything_to_quote_is_refused_alone(api: ApiClient) -> None:
    old = api.ok("POST", "/subscription/preview", plan="plus")
    api.ok("PATCH", "/subscription", plan="plus")
    refused = api("PATCH", "/subscription", quote=old["token"])
    assert (refused.status_code, "quote" in refused.get_json()) == (409, False)


def test_cancel_plan_has_a_quote_of_its_own(world: World, api: ApiClient, stripe_time: StripeTime) -> None:
    api.ok("PATCH", "/subscription", plan="plus", quantity=4)
    quote = api.ok("POST", "/subscription/preview", plan="free")
    # Four units wait for the billing date. Cancel plan takes them back, and nothing was paid that could be credited.
    assert (quote["credit"], quote["estimate"], quote["amount_due_now"]) == (0, False, 0)
    assert min(line["amount"] for line in quote["lines"]) < 0
    stripe_time.ahead = 300
    answer = world.client.delete(
        f"/v1/subscription?quote={quote['token']}", headers={"Authorization": f"Bearer {world.token()}"}
    )
    assert answer.get_json()["state"] == "applied"
    upcoming = world.stripe.v1.invoices.create_preview({"subscription": world.rows(Subscription)[0].id})
    assert upcoming.amount_due == quote["amount_due_on_billing_date"]


def test_cancel_plan_takes_nothing_but_a_quote(world: World, api: ApiClient) -> None:
    headers = {"Authorization": f"Bearer {world.token()}"}
    assert world.client.delete("/v1/subscription?plan=plus", headers=headers).status_code == 422
    quote = api.ok("POST", "/subscription/preview", plan="plus")
    answer = world.client.delete(f"/v1/subscription?quote={quote['token']}", headers=headers)
    assert answer.get_json()["code"] == "no_change"


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        (b'{"quote": "x", "nonsense": 1}', (422, "invalid_request")),
        (b'{"quote": "x"}', (422, "invalid_request")),
        (b'{"plan": "free"}', (422, "invalid_request")),
        (b"[]", (422, "invalid_request")),
        (b"null", (422, "invalid_request")),
        (b"{", (400, "invalid_json")),
        (b" {} ", None),
        (b"", None),
    ],
)
def test_cancel_plan_checks_its_body(
    world: World, api: ApiClient, body: bytes, refusal: tuple[int, str] | None
) -> None:
    api.ok("PATCH", "/subscription", plan="plus")
    headers = {"Authorization": f"Bearer {world.token()}", "Content-Type": "application/json"}
    answer = world.client.delete("/v1/subscription", data=body, headers=headers)
    assert (problem_of(answer) if answer.status_code != 200 else None) == refusal
    assert world.plan_row().plan == ("free" if refusal is None else "plus")


def test_cancel_quote_with_usage_is_an_estimate_and_bills_the_usage(world: World, api: ApiClient) -> None:
    api.ok("PATCH", "/subscription", plan="plus")
    world.stripe.v1.billing.meters.create(
        {"event_name": "requests", "display_name": "Requests", "default_aggregation": {"formula": "sum"}}
    )
    [meter] = world.stripe.v1.billing.meters.list().data
    metered = world.stripe.v1.prices.create(
        {
            "currency": "usd",
            "unit_amount": 7,
            "recurring": {"interval": "month", "usage_type": "metered", "meter": meter.id},
            "product_data": {"name": "Requests"},
        }
    )
    [row] = world.rows(Subscription)
    world.stripe.v1.subscription_items.create({"subscription": row.id, "price": metered.id})
    world.settle()
    world.stripe.v1.billing.meter_events.create(
        {
            "event_name": "requests",
            "payload": {"stripe_customer_id": customer_of(world), "value": "3"},
        }
    )
    assert api.ok("POST", "/subscription/preview", plan="free")["estimate"] is True
    assert api.ok("DELETE", "/subscription")["subscription"]["plan"] == "free"
    at_stripe = world.stripe.v1.subscriptions.retrieve(row.id)
    assert len(at_stripe.items.data) == 1
    upcoming = world.stripe.v1.invoices.create_preview({"subscription": row.id})
    assert 21 in [line.amount for line in upcoming.lines.data]


def test_charge_at_stripe_is_compared_with_the_quote(world: World, api: ApiClient) -> None:
    quote = api.ok("POST", "/subscription/preview", plan="plus", quantity=3)
    api.ok("PATCH", "/subscription", quote=quote["token"])
    world.work()
    change = last_change(world)
    assert change.charged == change.quoted == sum(line["amount"] for line in quote["lines"] if line["proration"])
    metrics = render(world.gateway).decode()
    assert "gateway_plan_changes_mischarged 0.0" in metrics


def test_a_charge_that_differs_from_its_quote_is_an_alarm(world: World, api: ApiClient) -> None:
    quote = api.ok("POST", "/subscription/preview", plan="plus", quantity=3)
    change = api.ok("PATCH", "/subscription", quote=quote["token"])
    item = world.stripe.v1.invoice_items.list({"pending": True}).data[0]
    world.stripe.v1.invoice_items.delete(item.id)  # someone deletes the charge in the dashboard
    with capture_logs() as logs:
        check_charge(world.gateway, change["id"])
    assert [entry["event"] for entry in logs if entry["log_level"] == "error"] == ["charge_differs_from_quote"]
    assert "gateway_plan_changes_mischarged 1.0" in render(world.gateway).decode()
    world.api("org_2").ok("POST", "/subscription", plan="free")
    assert [each.id for each in list_changes(world.gateway, None, (), 10, mischarged=True)] == [change["id"]]


def test_change_without_a_quote_is_not_checked(world: World, api: ApiClient) -> None:
    api.ok("PATCH", "/subscription", plan="plus")
    world.work()
    assert (last_change(world).quoted, last_change(world).charged) == (None, None)


def test_upgrade_is_possible_once_the_open_invoice_is_paid(
    world: World, api: ApiClient, stripe_time: StripeTime
) -> None:
    api.ok("PATCH", "/subscription", plan="plus")
    api.add_card(world.stripe, "pm_card_chargeCustomerFail")
    stripe_time.ahead = timedelta(days=33).total_seconds()
    [row] = world.rows(Subscription)
    assert world.stripe.v1.subscriptions.retrieve(row.id).status == "past_due"
    world.settle()
    details = api.ok("GET", "/subscription")
    assert (details["plan"], details["standing"]) == ("plus", "grace")
    assert api.problem("PATCH", "/subscription", plan="plus", quantity=2) == (402, "unpaid_invoice")
    api.add_card(world.stripe)
    world.stripe.v1.invoices.pay(details["latest_invoice"]["id"])
    world.settle()
    assert api.ok("GET", "/subscription")["standing"] == "good"
    assert api.ok("PATCH", "/subscription", plan="plus", quantity=2)["state"] == "applied"


def test_open_invoice_over_zero_blocks_no_upgrade(world: World, api: ApiClient) -> None:
    with (
        world.gateway.database.transaction() as session
    ):  # finalized, but the event that reports its payment has not arrived
        session.execute(update(Invoice).values(status="open", amount_remaining=0))
    assert len(world.rows(Invoice)) == 1
    assert api.ok("PATCH", "/subscription", plan="plus")["state"] == "applied"


def test_grace_ends_when_stripe_stops_retrying_a_past_due_one(
    world: World, api: ApiClient, stripe_time: StripeTime
) -> None:
    base = world.gateway.config.stripe_api_base
    requests.post(f"{base}/_sandbox/settings", json={"after_retries": "past_due"}, timeout=5).raise_for_status()
    api.ok("PATCH", "/subscription", plan="plus")
    api.add_card(world.stripe, "pm_card_chargeCustomerFail")
    stripe_time.ahead = timedelta(days=50).total_seconds()
    [row] = world.rows(Subscription)
    assert world.stripe.v1.subscriptions.retrieve(row.id).status == "past_due"
    world.settle()
    details = api.ok("GET", "/subscription")
    assert (details["status"], details["plan"], details["standing"]) == ("past_due", "free", "suspended")
