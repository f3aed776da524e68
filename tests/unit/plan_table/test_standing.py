"""The standing for every status at Stripe, collection method, invoice and number of attempts."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any, get_args

import pytest
import stripe

from gateway.db.models import Invoice, Subscription
from gateway.services.plan_table.derive import PlanState, derive_plan_state, never_enrolled
from gateway.services.plan_table.selection import Plans
from gateway.services.plan_table.standing import RULES
from tests.support.json_types import Json

NOW = datetime(2026, 11, 20, tzinfo=UTC)
DAY = timedelta(days=1)
STATUSES = ("active", "trialing", "past_due", "incomplete", "incomplete_expired", "unpaid", "paused", "canceled")
BY_STATUS_ALONE = {
    "incomplete": ("free", "good"),
    "incomplete_expired": ("free", "suspended"),
    "unpaid": ("free", "suspended"),
    "paused": ("free", "suspended"),
    "canceled": ("free", "good"),
}


def subscription(status: str, **changes: Any) -> Subscription:
    item = {
        "id": "si_1",
        "price_id": "price_1",
        "product_id": "prod_plus",
        "quantity": 1,
        "current_period_start": NOW.isoformat(),
        "current_period_end": (NOW + 30 * DAY).isoformat(),
    }
    row = {"latest_invoice_id": "in_1", "items": [item], "currency": "usd", "created": NOW - 60 * DAY, "as_of": NOW}
    return Subscription(id="sub_1", organization_id="org_1", status=status, **row | changes)


def invoice(name: str = "in_1", **changes: Any) -> Invoice:
    row = {
        "subscription_id": "sub_1",
        "status": "open",
        "billing_reason": "subscription_cycle",
        "collection_method": "charge_automatically",
        "due_date": None,
        "attempted": True,
        "amount_remaining": 500,
        "next_payment_attempt": None,
        "payment_under_way": None,
        "created": NOW - DAY,
        "as_of": NOW,
        "source": "refresh",
    }
    return Invoice(id=name, organization_id="org_1", **row | changes)


GIVEN_UP: Json = {"payment_under_way": False}
RETRIED: Json = {"next_payment_attempt": NOW + DAY}
NOT_TRIED: Json = {"attempted": False}
UNDER_WAY: Json = {"payment_under_way": True}
NOT_KNOWN: Json = {}


def found(status: str, *invoices: Invoice, before: str = "good", **changes: Any) -> tuple[str, str]:
    """Return plan and standing of an organization on Plus whose present standing is ``before``."""
    present = replace(never_enrolled("free"), subscription_id="sub_1", standing=before)
    state = derive_plan_state(
        [subscription(status, **changes)], Plans({"prod_plus": "plus"}, ["free", "plus"]), invoices, (), present
    )
    return state.plan, state.standing


def expected_of(  # one parameter per dimension
    status: str, sent: bool, kind: str, attempts: int, planned: bool, is_due: bool, under_way: bool | None, before: str
) -> str:
    """Return the standing as the documents say it, for one invoice in one of the states that Stripe has."""
    late = status == "past_due"
    if kind not in ("open", "uncollectible"):  # nothing is owed
        return "grace" if late else "good"
    if under_way:
        return "good"
    if sent:  # the due date alone never suspends
        waits = kind == "open" and attempts and under_way is None and before == "good"  # for the lookup
        return "grace" if is_due and not waits else "good"
    if kind == "uncollectible":  # a debt until it is paid or void, if Stripe ever tried it
        return "suspended" if attempts else "grace" if late else "good"
    if attempts and planned:
        return "grace"
    if attempts and under_way is None:  # unchanged until the lookup
        return before
    if attempts:
        return "suspended"
    return ("grace" if before == "suspended" else before) if late else "good"


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("sent", [False, True], ids=["charged", "sent"])
@pytest.mark.parametrize("kind", ["draft", "open", "uncollectible", "paid", "void", "deleted"])
def test_standing_follows_status_method_invoice_and_attempts(status: str, sent: bool, kind: str) -> None:
    for attempts, planned, is_due, under_way, before in product(
        (0, 1, 4), (False, True), (False, True), (None, False, True), ("good", "grace", "suspended")
    ):
        one = invoice(
            status=kind,
            collection_method="send_invoice" if sent else "charge_automatically",
            due_date=(NOW if is_due else NOW + DAY) if sent else None,
            attempted=attempts > 0,
            attempt_count=attempts,
            next_payment_attempt=NOW + DAY if planned else None,
            payment_under_way=under_way,
        )
        case = (status, sent, kind, attempts, planned, is_due, under_way, before)
        if status in BY_STATUS_ALONE:
            wanted = BY_STATUS_ALONE[status]
        else:
            standing = expected_of(*case)
            wanted = ("free" if standing == "suspended" else "plus", standing)
        assert found(status, one, before=before) == wanted, case


def test_every_status_in_the_sdk_has_a_rule() -> None:
    assert {*STATUSES, "none"} == RULES.keys()
    assert RULES.keys() == {"none", *get_args(get_args(stripe.Subscription.__annotations__["status"])[0])}


@pytest.mark.parametrize("status", ["active", "trialing", "past_due"])
@pytest.mark.parametrize("newest", [NOT_TRIED, RETRIED, UNDER_WAY, NOT_KNOWN], ids=repr)
def test_a_given_up_invoice_suspends_in_later_months(status: str, newest: Json) -> None:
    older = invoice("in_0", **GIVEN_UP)
    assert found(status, older, invoice(**newest)) == ("free", "suspended")
    assert found(status, invoice(**newest), older) == ("free", "suspended")


@pytest.mark.parametrize("ended", ["paid", "void"])
@pytest.mark.parametrize(
    ("newest", "standing"), [(NOT_TRIED, "grace"), (RETRIED, "grace"), (UNDER_WAY, "good")], ids=repr
)
def test_a_settled_invoice_no_longer_suspends(ended: str, newest: Json, standing: str) -> None:
    older = invoice("in_0", **GIVEN_UP | {"status": ended, "amount_remaining": 0})
    assert found("past_due", older, invoice(**newest), before="suspended") == ("plus", standing)


def test_the_worst_of_several_invoices_counts() -> None:
    assert found("active", invoice("in_0", **UNDER_WAY), invoice(**RETRIED)) == ("plus", "grace")
    assert found("active", invoice("in_0", **RETRIED), invoice(**GIVEN_UP)) == ("free", "suspended")


@pytest.mark.parametrize(
    "other", [{"subscription_id": "sub_2"}, {"subscription_id": None}, {"amount_remaining": 0}], ids=repr
)
def test_what_is_not_owed_on_the_subscription_is_no_debt_of_it(other: Json) -> None:
    assert found("active", invoice(**GIVEN_UP | other)) == ("plus", "good")


def test_an_invoice_for_a_change_that_was_not_made_is_no_debt() -> None:
    wanted = GIVEN_UP | {"billing_reason": "subscription_update"}
    assert found("active", invoice(**wanted), pending_until=NOW + DAY) == ("plus", "good")
    assert found("past_due", invoice(**wanted), pending_until=NOW + DAY) == ("plus", "grace")
    assert found("past_due", invoice(**wanted)) == ("free", "suspended")  # Stripe made the change


@pytest.mark.parametrize("before", ["good", "suspended"])
def test_an_invoice_for_a_change_that_was_made_is_a_debt_in_later_months(before: str) -> None:
    change = GIVEN_UP | {"billing_reason": "subscription_update"}
    later: Json = {"latest_invoice_id": "in_2", "before": before}
    assert found("active", invoice(**change), **later) == ("free", "suspended")
    assert found("active", invoice(**change), pending_until=NOW + DAY, **later) == ("free", "suspended")
    seen_before: Json = {"as_of": NOW - DAY, **later}
    assert found("active", invoice(**change), **seen_before) == ("plus", "good")  # it may be parked by now
    assert found("active", invoice(**change | {"source": "event"}), **later)[1] == before  # it may be void by now
    assert found("active", invoice(**change | {"as_of": NOW - DAY}), **later)[1] == before


def test_a_due_date_is_over_once_stripe_shows_either_object_after_it() -> None:
    early: Json = {
        "collection_method": "send_invoice",
        "due_date": NOW - DAY,
        "as_of": NOW - 2 * DAY,
        "attempted": False,
    }
    assert found("past_due", invoice(**early)) == ("plus", "grace")
    assert found("past_due", invoice(**early), as_of=NOW - 2 * DAY) == ("plus", "good")


def test_another_subscriptions_standing_is_not_kept() -> None:
    ended: PlanState = replace(never_enrolled("free"), subscription_id="sub_0", standing="suspended")
    state = derive_plan_state(
        [subscription("active")], Plans({"prod_plus": "plus"}, ["free", "plus"]), [invoice(**NOT_KNOWN)], (), ended
    )
    assert (state.plan, state.standing) == ("plus", "good")
