"""Regressions that fuzzing found: values that PostgreSQL refuses, or that Python cannot print."""

from typing import Any

import pytest

from gateway.stripe_api.events import Event, UnreadableObject
from tests.support.recorded_events import payload, with_change


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    ("name", "path", "value"),
    [
        ("product.updated", "active", "true"),
        ("price.updated", "active", None),
        ("price.updated", "unit_amount", "20000"),
        ("price.updated", "unit_amount", 1 << 63),
        ("price.updated", "unit_amount", -1),
        ("invoice.upcoming", "amount_due", -1),
        ("customer.subscription.updated", "items.data.0.quantity", -1),
        ("price.updated", "recurring", {"interval": []}),
        ("price.updated", "product", {"id": None}),
        ("customer.updated", "deleted", 0),
        ("customer.updated", "balance", -(1 << 64)),
        ("customer.updated", "invoice_settings", {"default_payment_method": "pm\0"}),
        ("customer.updated", "invoice_settings", {"default_payment_method": "pm\ud83d"}),
        ("payment_method.attached", "card", {"brand": []}),
        ("payment_method.attached", "card", {"exp_month": "12"}),
        ("invoice.paid", "number", 1),
        ("invoice.paid", "billing_reason", {}),
        ("invoice.paid", "customer", ""),
        ("invoice.paid", "amount_due", 1e300),
        ("customer.subscription.updated", "latest_invoice", "i" * 256),
        ("customer.subscription.updated", "items.data.0.id", "si\0"),
        ("customer.subscription.updated", "items.data.0.price.id", {}),
    ],
)
def test_a_value_that_postgresql_refuses_is_unreadable(name: str, path: str, value: object) -> None:
    with pytest.raises(UnreadableObject):
        with_change(name, {path: value})


@pytest.mark.parametrize("path", ["number", "billing_reason", "hosted_invoice_url", "invoice_pdf"])
def test_free_text_is_kept_without_nuls_and_surrogates(path: str) -> None:
    assert getattr(with_change("invoice.paid", {path: "a\0b"}), path) == "ab"
    assert getattr(with_change("invoice.paid", {path: "a\ud83d\nb\ude00 \U0001f600"}), path) == "a\nb \U0001f600"


@pytest.mark.parametrize("path", ["currency", "customer", "total", "status"])
def test_a_value_nested_too_deeply_is_unreadable(path: str) -> None:
    with pytest.raises(UnreadableObject):
        with_change("invoice.paid", {path: nested(100_000)})


def test_a_previous_state_nested_too_deeply_is_unreadable() -> None:
    event = payload("customer.updated")
    event["data"]["object"]["metadata"] = event["data"]["previous_attributes"]["metadata"] = nested(1_020)
    assert Event.from_json(event).odd_previous


def test_the_error_does_not_repeat_an_invalid_value() -> None:
    with pytest.raises(UnreadableObject) as caught:
        with_change("customer.updated", {"balance": "Ada Lovelace"})
    assert "Ada" not in str(caught.value)
