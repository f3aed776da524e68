"""The page of notifications shows each event as the code builds it."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

import pytest

from gateway.db.models import Invoice, Notification, PlanChange, Subscription, UpcomingInvoice
from gateway.services.mirror.announcements import TYPE_OF_EVENT, announce_event, describe_change
from gateway.services.notifications.delivery import build_message
from gateway.services.notifications.outbox import Fact
from gateway.services.plan_table.announcements import describe_entry, describe_reason
from gateway.services.plan_table.derive import PlanState, never_enrolled
from gateway.services.spend_alerts.check import Situation, Threshold, describe_crossing
from gateway.services.spend_alerts.spend import Period
from tests.support.documents import document
from tests.support.json_types import Json
from tests.support.recorded_events import recorded_snapshot

NOW = datetime(2026, 11, 30, 10, tzinfo=UTC)
EVENT = re.compile(r"^### `([a-z_.]+)`$", re.MULTILINE)


def documented() -> dict[str, Json]:
    page = document("docs/notifications.md")
    return dict(zip(EVENT.findall(page.text), map(json.loads, page.fences("json")), strict=True))


def entry(**after: Any) -> Json:
    before = never_enrolled("free")
    state = PlanState(**vars(before) | {"current_period_end": NOW} | after)
    return {
        "organization_id": "org_1",
        "version": 2,
        "actor_type": "user",
        "change_id": "chg_1",
        "cause": "chg_1",
        "before": before.to_json(),
        "after": state.to_json(),
    }


def invoice(status: str) -> Invoice:
    return Invoice(
        id="in_1",
        organization_id="org_1",
        status=status,
        number="KONNECT-0002",
        currency="usd",
        total=25000,
        amount_due=25000,
        amount_paid=25000,
        amount_remaining=0,
        attempt_count=1,
        next_payment_attempt=NOW,
        hosted_invoice_url="https://invoice.stripe.com/i/acct_1/live_1",
        invoice_pdf="https://pay.stripe.com/invoice/acct_1/live_1/pdf",
    )


def built() -> Iterator[Fact]:
    """Yield one fact of each type."""
    yield from describe_entry(entry(plan="plus", standing="grace", status="trialing"), "free")
    ended = entry() | {"before": PlanState(**vars(never_enrolled("free")) | {"status": "trialing"}).to_json()}
    yield from describe_entry(ended, "free")
    trial = Subscription(id="sub_1", organization_id="org_1", status="trialing", trial_end=NOW, had_plan=True)
    for event_type, fact_type in TYPE_OF_EVENT.items():
        row = trial if event_type.startswith("customer.") else invoice("open")
        yield from announce_event(row, recorded_snapshot(event_type), fact_type)
    yield from describe_change(invoice("paid"))
    upcoming = UpcomingInvoice(subscription_id="sub_1", organization_id="org_1", amount_due=1, currency="usd")
    upcoming.billing_date = NOW + timedelta(days=3)
    yield from describe_change(upcoming)
    reason = {"feedback": "unused", "comment": "We left."}
    yield describe_reason(PlanChange(id="chg_1", organization_id="org_1", from_plan="plus", cancellation=reason))
    month = Period(start=NOW, end=NOW + timedelta(days=30))
    situation = Situation(currency="usd", period=month, thresholds=(), recorded=None)
    for kind in ("alert", "limit"):
        yield describe_crossing("org_1", situation, Threshold(1, kind), 2)


BUILT = MappingProxyType({fact.type: fact for fact in built()})


def keys(value: Any) -> Any:
    """Return the names of all fields, and whether each value is text, a number or an object."""
    if isinstance(value, dict):
        return {name: keys(each) for name, each in value.items()}
    return "any" if value is None else type(value).__name__


def test_page_shows_every_event() -> None:
    assert set(documented()) == set(BUILT)


@pytest.mark.parametrize("event_type", sorted(BUILT))
def test_example_has_the_fields_that_the_code_builds(event_type: str) -> None:
    fact = BUILT[event_type]
    message = json.loads(build_message(Notification(type=fact.type, created_at=NOW, data=fact.data)))
    example = documented()[event_type]
    assert example["type"] == event_type
    assert without_nulls(keys(example), keys(message)) == without_nulls(keys(message), keys(example))


def without_nulls(shown: Json, other: Json) -> Json:
    """Return the fields, and ``any`` where one of both is null."""
    return {
        name: without_nulls(kind, other[name])
        if isinstance(kind, dict) and isinstance(other.get(name), dict)
        else ("any" if "any" in (kind, other.get(name)) else kind)
        for name, kind in shown.items()
    }


def test_adoption_is_no_fact() -> None:
    assert list(describe_entry(entry(plan="plus") | {"cause": "adopted"}, "free")) == []


def test_announced_event_is_no_fact_again() -> None:
    row, shown = invoice("open"), recorded_snapshot("invoice.payment_failed")
    other = replace(shown, seen=replace(shown.seen, cause="evt_2"))
    assert [len(list(announce_event(row, each, "payment.failed"))) for each in (shown, shown, other)] == [1, 0, 1]
