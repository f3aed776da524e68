"""The envelope of an event, and the bodies that the inbox refuses."""

import json
from typing import Any

import pytest

from gateway.errors import WebhookRefused
from gateway.stripe_api.envelope import WebhookEnvelope


def refused(body: Any) -> Any:
    """Return the errors by field."""
    with pytest.raises(WebhookRefused) as caught:
        WebhookEnvelope.read(body)
    return caught.value.members.get("errors")


EVENT: dict[str, Any] = {
    "id": "evt_1",
    "object": "event",
    "type": "customer.subscription.updated",
    "created": 1_793_491_200,
    "livemode": False,
    "api_version": "2026-10-28.endive",
    "data": {"object": {"id": "sub_1", "object": "subscription"}, "previous_attributes": {}},
    "request": {"id": None},
    "pending_webhooks": 1,
}


def test_an_envelope_holds_the_fields_the_inbox_needs() -> None:
    assert WebhookEnvelope.read(EVENT) == WebhookEnvelope(
        id="evt_1",
        object="event",
        type="customer.subscription.updated",
        created=1_793_491_200,
        livemode=False,
        api_version="2026-10-28.endive",
        account=None,
        object_id="sub_1",
    )


def test_optional_fields_may_be_missing() -> None:
    upcoming = EVENT | {"type": "invoice.upcoming", "api_version": None, "data": {"object": {"object": "invoice"}}}
    found = WebhookEnvelope.read(upcoming)
    assert (found.object_id, found.api_version) == (None, None)
    assert WebhookEnvelope.read(EVENT | {"account": "acct_1", "livemode": True}).account == "acct_1"


@pytest.mark.parametrize("name", ["id", "object", "type", "created", "livemode", "data"])
def test_a_missing_required_field_is_named(name: str) -> None:
    assert set(refused({key: EVENT[key] for key in EVENT if key != name})) == {name}


@pytest.mark.parametrize(
    "body", [[], [EVENT], "event", 1, 1.5, True, None, {}, {"data": {}}, [[[[]]]], {"id": {"id": {"id": []}}}]
)
def test_a_body_that_is_not_an_event_is_refused(body: Any) -> None:
    refused(body)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("id", ""),
        ("id", 1),
        ("id", None),
        ("id", "evt_1\n"),
        ("id", "evt_1\0"),
        ("id", "e" * 256),
        ("object", "v2.core.other"),
        ("object", None),
        ("type", "a b"),
        ("type", "invoice.paid\n"),
        ("type", ""),
        ("type", ["invoice.paid"]),
        ("created", "1793491200"),
        ("created", 1_793_491_200.0),
        ("created", True),
        ("created", -1),
        ("created", 2**33 + 1),
        ("created", 10**400),
        ("created", None),
        ("livemode", "false"),
        ("livemode", None),
        ("livemode", 0),
        ("livemode", 1.0),
        ("api_version", ""),
        ("api_version", "2026\n"),
        ("api_version", 2026),
        ("account", ""),
        ("account", "acct 1"),
        ("account", {}),
        ("data", None),
        ("data", []),
        ("data", {}),
        ("data", {"object": None}),
        ("data", {"object": []}),
        ("data", {"object": "sub_1"}),
    ],
)
def test_an_invalid_field_is_refused_and_named(name: str, value: Any) -> None:
    messages = refused(EVENT | {name: value})
    assert set(messages) == {name}
    json.dumps(messages)  # the problem contains them unchanged, so JSON must be able to hold them


@pytest.mark.parametrize("object_id", [1, "sub\0", "sub\ud83d", "", {"id": "sub_1"}])
def test_an_object_id_that_postgresql_refuses_is_refused(object_id: Any) -> None:
    assert set(refused(EVENT | {"data": {"object": {"id": object_id}}})) == {"object_id"}


def test_the_object_id_comes_only_from_the_object() -> None:
    body = EVENT | {"object_id": "sub_2", "data": {"object": {}}}
    assert WebhookEnvelope.read(body).object_id is None


THIN_EVENT: dict[str, Any] = {
    "id": "evt_test_1",
    "object": "v2.core.event",
    "type": "v1.billing.meter.error_report_triggered",
    "created": "2026-11-01T00:00:00.500Z",
    "livemode": False,
    "related_object": {"id": "mtr_1", "type": "billing.meter", "url": "/v1/billing/meters/mtr_1"},
}


def test_a_thin_event_has_a_time_in_text_and_no_data() -> None:
    found = WebhookEnvelope.read(THIN_EVENT)
    assert (found.id, found.created, found.object_id, found.account) == ("evt_test_1", 1_793_491_200, "mtr_1", None)
    assert WebhookEnvelope.read(THIN_EVENT | {"related_object": None}).object_id is None


@pytest.mark.parametrize(
    ("name", "value"),
    [("id", None), ("type", ""), ("created", 1_793_491_200), ("created", "today"), ("livemode", None)],
)
def test_an_invalid_field_of_a_thin_event_is_named(name: str, value: Any) -> None:
    assert set(refused(THIN_EVENT | {name: value})) == {name}
