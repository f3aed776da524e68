"""Meter events of the v2 API, which Stripe validates synchronously."""

from datetime import UTC, datetime
from typing import Any

import pytest
import stripe

from tests.support.clock import START, ManualClock
from tests.support.stripe_account import StripeAccount

DAY = 86400


def iso(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def send(account: StripeAccount, customer: str, identifier: str, key: str | None = None, **more: Any) -> Any:
    payload = {"stripe_customer_id": customer, "value": "3"}
    params: Any = {"event_name": "api_calls", "payload": payload, "identifier": identifier} | more
    return account.client.v2.billing.meter_events.create(params, {"idempotency_key": key} if key else {})


def refusal(account: StripeAccount, **more: Any) -> str | None:
    with pytest.raises(stripe.InvalidRequestError) as error:
        send(account, account.customer(card=None).id, "use_1", **more)
    return error.value.code


def total(account: StripeAccount, meter: str, customer: str) -> float:
    params: Any = {"customer": customer, "start_time": 0, "end_time": (START // DAY + 40) * DAY}
    return account.v1.billing.meters.event_summaries.list(meter, params).data[0].aggregated_value


def test_event_is_counted_once_per_identifier(account: StripeAccount, clock: ManualClock, meter: str) -> None:
    customer = account.customer(card=None).id
    sent = send(account, customer, "use_1", timestamp=iso(START - 60))
    assert (sent.object, sent.timestamp) == ("v2.billing.meter_event", iso(START - 60).replace("+00:00", ".000Z"))
    assert refusal(account) == "duplicate_meter_event"
    clock.now += DAY
    send(account, customer, "use_1")
    assert total(account, meter, customer) == 6


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"event_name": "other"}, "no_meter"),
        ({"payload": {"value": "1"}}, "payload_no_customer_defined"),
        ({"payload": {"stripe_customer_id": "cus_1"}}, "payload_no_value_defined"),
        ({"payload": {"stripe_customer_id": "cus_1", "value": "-1"}}, "payload_invalid_value"),
        ({"timestamp": iso(START - 35 * DAY - 1)}, "timestamp_too_far_in_past"),
        ({"timestamp": iso(START + 301)}, "timestamp_in_future"),
        ({"timestamp": "yesterday"}, "invalid_fields"),
    ],
)
@pytest.mark.usefixtures("meter")
def test_wrong_event_is_refused(account: StripeAccount, params: Any, code: str) -> None:
    assert refusal(account, **params) == code


def test_archived_meter_refuses_events(account: StripeAccount, meter: str) -> None:
    account.v1.billing.meters.deactivate(meter)
    assert refusal(account) == "archived_meter"


@pytest.mark.usefixtures("meter")
def test_failed_request_is_done_again_under_its_key(account: StripeAccount) -> None:
    customer = account.customer(card=None).id
    with pytest.raises(stripe.InvalidRequestError):
        send(account, customer, "use_1", key="one", event_name="other")
    assert send(account, customer, "use_1", key="one").identifier == "use_1"
    assert send(account, customer, "use_1", key="one").last_response.headers["Idempotent-Replayed"] == "true"


def test_unknown_customer_is_reported_in_a_thin_event(account: StripeAccount, meter: str) -> None:
    send(account, "cus_unknown", "use_1", key="one")
    [report] = account.client.v2.core.events.list().data
    found = account.client.v2.core.events.retrieve(report.id)
    assert (found.type, found["related_object"].id) == ("v1.billing.meter.error_report_triggered", meter)
    [error] = found["data"].reason.error_types
    assert (error.code, error.sample_errors[0].request.identifier) == ("meter_event_customer_not_found", "one")
