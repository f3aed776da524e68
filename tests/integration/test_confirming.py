"""Confirming a quote: what is charged is what was quoted, and what no longer holds is quoted again."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
import requests
from sqlalchemy import update
from structlog.testing import capture_logs

from gateway.db.models import Invoice, Organization, PlanChange, Subscription
from gateway.endpoints.metrics import render
from gateway.endpoints.request_context import EXTENSION
from gateway.errors import QuoteExpired
from gateway.services.plan_changes import charge_check, confirm
from gateway.services.quotes import token as quote_token
from gateway.services.quotes.preview import quote_change
from gateway.services.runtime import Caller
from schemas.subscription import ChangeCommand
from tests.integration.support import Api, Json, StripeTime, World, problem_of

CALLER = Caller(organization_id="org_1", actor="test")


def last_change(world: World) -> PlanChange:
    return max(world.rows(PlanChange), key=lambda change: change.created_at)


def test_a_stale_quote_is_refused_with_one_that_holds(api: Api) -> None:
    old = api.ok("POST", "/subscription/preview", plan="plus", quantity=5)
    api.ok("PATCH", "/subscription", plan="plus", quantity=2)
    refused = api("PATCH", "/subscription", quote=old["token"])
    assert (refused.status_code, refused.get_json()["code"]) == (409, "quote_stale")
    new: Json = refused.get_json()["quote"]
    assert (new["plan"], new["quantity"]) == ("plus", 5)
    assert api.ok("PATCH", "/subscription", quote=new["token"])["quantity"] == 5


def test_a_quote_does_not_come_back_with_the_subscription_it_was_made_for(api: Api) -> None:
    old = api.ok("POST", "/subscription/preview", plan="plus")
    api.ok("PATCH", "/subscription", plan="plus", quantity=2)
    api.ok("DELETE", "/subscription")  # as before, but for what waits for the billing date
    refused = api("PATCH", "/subscription", quote=old["token"])
    assert (refused.status_code, refused.get_json()["code"]) == (409, "quote_stale")


def test_an_expired_quote_is_refused_with_a_new_one(world: World, api: Api) -> None:
    old = api.ok("POST", "/subscription/preview", plan="plus", quantity=5)
    later = replace(world.gateway, clock=lambda: datetime.now(UTC) + timedelta(minutes=16))
    with pytest.raises(QuoteExpired) as refused:
        confirm.change(later, CALLER, ChangeCommand(quote=old["token"]))
    new: Any = refused.value.members["quote"]
    assert (new["plan"], new["quantity"]) == ("plus", 5)
    assert confirm.change(later, CALLER, ChangeCommand(quote=new["token"])).state == "applied"


def set_clocks(world: World, stripe_time: StripeTime, ours: datetime, stripes: timedelta = timedelta(0)) -> None:
    """It is ``ours`` here, and so much later at Stripe."""
    ahead = ours - datetime.now(UTC)
    later = replace(world.gateway, clock=lambda: datetime.now(UTC) + ahead)
    world.client.application.extensions[EXTENSION].gateway = later
    stripe_time.ahead = (ahead + stripes).total_seconds()


def end_of_period(world: World) -> datetime:
    end = world.plan_row().current_period_end
    assert end is not None
    return end


def test_a_quote_whose_period_ended_at_stripe_is_refused_with_one_of_the_next(
    world: World, api: Api, stripe_time: StripeTime
) -> None:
    api.ok("PATCH", "/subscription", plan="plus")
    end = end_of_period(world)
    set_clocks(world, stripe_time, end - timedelta(seconds=20))
    old = api.ok("POST", "/subscription/preview", plan="plus", quantity=3)
    world.fault("webhook_dropped", times=1000)
    set_clocks(world, stripe_time, end - timedelta(seconds=15), stripes=timedelta(seconds=30))
    refused = api("PATCH", "/subscription", quote=old["token"])
    assert (refused.status_code, refused.get_json()["code"]) == (409, "quote_stale")
    new: Json = refused.get_json()["quote"]
    assert datetime.fromisoformat(new["billing_date"]) > end
    assert api.ok("PATCH", "/subscription", quote=new["token"])["quantity"] == 3


def test_a_renewal_of_which_nobody_told_is_quoted_in_the_new_period(
    world: World, api: Api, stripe_time: StripeTime
) -> None:
    api.ok("PATCH", "/subscription", plan="plus")
    end = end_of_period(world)
    world.fault("webhook_dropped", times=1000)
    set_clocks(world, stripe_time, end + timedelta(minutes=1))
    quote = api.ok("POST", "/subscription/preview", plan="plus", quantity=4)
    assert datetime.fromisoformat(quote["billing_date"]) > end + timedelta(days=27)
    assert api.ok("PATCH", "/subscription", quote=quote["token"])["quantity"] == 4


def test_while_only_our_clock_has_passed_the_period_there_is_no_quote_yet(
    world: World, api: Api, stripe_time: StripeTime
) -> None:
    api.ok("PATCH", "/subscription", plan="plus")
    set_clocks(world, stripe_time, end_of_period(world) + timedelta(seconds=5), stripes=timedelta(seconds=-60))
    assert api.problem("POST", "/subscription/preview", plan="plus", quantity=4) == (503, "period_over")


def test_a_quote_expires_at_the_billing_date_if_that_comes_first(world: World, api: Api) -> None:
    end = datetime.fromisoformat(api.ok("GET", "/subscription")["current_period"]["end"])
    late = replace(world.gateway, clock=lambda: end - timedelta(minutes=5))
    quote = quote_change(late, CALLER, "plus", 5)
    assert quote.expires_at == end
    with pytest.raises(QuoteExpired):
        quote_token.read_token(world.gateway.config, quote.token, end)
    in_time = quote_token.read_token(world.gateway.config, quote.token, end - timedelta(seconds=1))
    assert (in_time.plan, in_time.quantity) == ("plus", 5)


@pytest.mark.parametrize(
    ("terms", "body", "quoted"),
    [
        ({"plan": "plus", "quantity": 5, "coupon": "autumn"}, {}, ("plus", 5)),
        ({"target": "plus", "units": 5}, {"plan": "plus", "quantity": 5}, ("plus", 5)),
        ({"target": "plus", "units": 5}, {}, None),  # what was wanted is not known
        ({"plan": "plus"}, {}, None),
        ({"plan": "plus", "quantity": "5"}, {}, None),
        ({"plan": {"key": "plus"}, "quantity": 5}, {}, None),
        (None, {}, None),
    ],
)
def test_a_quote_of_a_release_with_other_terms_is_refused_with_a_new_one_where_it_can_be_read(
    world: World, api: Api, terms: Any, body: Json, quoted: tuple[str, int] | None
) -> None:
    claims = {"aud": quote_token.AUDIENCE, "exp": datetime.now(UTC) + timedelta(minutes=5), "terms": terms}
    token = jwt.encode(claims, quote_token.signing_key(world.gateway.config), quote_token.ALGORITHM)
    refused = api("PATCH", "/subscription", quote=token, **body)
    assert (refused.status_code, refused.get_json()["code"]) == (409, "quote_expired")
    new = refused.get_json().get("quote")
    assert (new and (new["plan"], new["quantity"])) == quoted


def test_where_nothing_is_left_to_quote_the_refusal_stands_alone(api: Api) -> None:
    old = api.ok("POST", "/subscription/preview", plan="plus")
    api.ok("PATCH", "/subscription", plan="plus")
    refused = api("PATCH", "/subscription", quote=old["token"])
    assert (refused.status_code, "quote" in refused.get_json()) == (409, False)


def test_cancel_plan_has_a_quote_of_its_own(world: World, api: Api, stripe_time: StripeTime) -> None:
    api.ok("PATCH", "/subscription", plan="plus", quantity=4)
    quote = api.ok("POST", "/subscription/preview", plan="free")
    assert (quote["credit"] > 0, quote["estimate"], quote["amount_due_now"]) == (True, False, 0)
    stripe_time.ahead = 300
    answer = world.client.delete(
        f"/v1/subscription?quote={quote['token']}", headers={"Authorization": f"Bearer {world.token()}"}
    )
    assert answer.get_json()["state"] == "applied"
    upcoming = world.stripe.v1.invoices.create_preview({"subscription": world.rows(Subscription)[0].id})
    assert upcoming.amount_due == quote["amount_due_on_billing_date"]


def test_cancel_plan_takes_nothing_but_a_quote(world: World, api: Api) -> None:
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
def test_cancel_plan_ignores_no_body(world: World, api: Api, body: bytes, refusal: tuple[int, str] | None) -> None:
    api.ok("PATCH", "/subscription", plan="plus")
    headers = {"Authorization": f"Bearer {world.token()}", "Content-Type": "application/json"}
    answer = world.client.delete("/v1/subscription", data=body, headers=headers)
    assert (problem_of(answer) if answer.status_code != 200 else None) == refusal
    assert world.plan_row().plan == ("free" if refusal is None else "plus")


def test_with_usage_that_goes_on_the_quote_of_cancel_plan_is_an_estimate_and_the_usage_is_billed(
    world: World, api: Api
) -> None:
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
    [organization] = world.rows(Organization)
    world.stripe.v1.billing.meter_events.create(
        {
            "event_name": "requests",
            "payload": {"stripe_customer_id": str(organization.stripe_customer_id), "value": "3"},
        }
    )
    assert api.ok("POST", "/subscription/preview", plan="free")["estimate"] is True
    assert api.ok("DELETE", "/subscription")["subscription"]["plan"] == "free"
    at_stripe = world.stripe.v1.subscriptions.retrieve(row.id)
    assert len(at_stripe.items.data) == 1
    upcoming = world.stripe.v1.invoices.create_preview({"subscription": row.id})
    assert 21 in [line.amount for line in upcoming.lines.data]


def test_what_stripe_holds_is_compared_with_the_quote(world: World, api: Api) -> None:
    quote = api.ok("POST", "/subscription/preview", plan="plus", quantity=3)
    api.ok("PATCH", "/subscription", quote=quote["token"])
    world.work()
    change = last_change(world)
    assert change.charged == change.quoted == sum(line["amount"] for line in quote["lines"] if line["proration"])
    metrics = render(world.gateway).decode()
    assert "gateway_plan_changes_mischarged 0.0" in metrics


def test_a_charge_that_differs_from_its_quote_is_an_alarm(world: World, api: Api) -> None:
    quote = api.ok("POST", "/subscription/preview", plan="plus", quantity=3)
    change = api.ok("PATCH", "/subscription", quote=quote["token"])
    item = world.stripe.v1.invoice_items.list({"pending": True}).data[0]
    world.stripe.v1.invoice_items.delete(item.id)  # somebody meddles in the dashboard
    with capture_logs() as logs:
        charge_check.check(world.gateway, change["id"])
    assert [entry["event"] for entry in logs if entry["log_level"] == "error"] == ["charge_differs_from_quote"]
    assert "gateway_plan_changes_mischarged 1.0" in render(world.gateway).decode()


def test_a_change_without_a_quote_has_nothing_to_be_compared_with(world: World, api: Api) -> None:
    api.ok("PATCH", "/subscription", plan="plus")
    world.work()
    assert (last_change(world).quoted, last_change(world).charged) == (None, None)


def test_more_is_sold_once_the_open_invoice_is_paid(world: World, api: Api, stripe_time: StripeTime) -> None:
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


def test_an_invoice_of_nothing_that_is_still_open_owes_nothing(world: World, api: Api) -> None:
    with world.gateway.database.transaction() as session:  # finalized, and not yet told to be paid
        session.execute(update(Invoice).values(status="open", amount_remaining=0))
    assert len(world.rows(Invoice)) == 1
    assert api.ok("PATCH", "/subscription", plan="plus")["state"] == "applied"


def test_grace_ends_when_stripe_tries_no_more_and_leaves_the_subscription_past_due(
    world: World, api: Api, stripe_time: StripeTime
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
