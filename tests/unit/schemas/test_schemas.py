"""The schemas of the JSON interface."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from marshmallow import Schema, ValidationError

from schemas.billing_details import DefaultPaymentMethodSchema
from schemas.changes import ChangeCommand, ChangeCommandSchema, CreateSubscriptionSchema, ModifySubscriptionSchema
from schemas.fields import UtcDateTime

COMMANDS = [ChangeCommandSchema, ModifySubscriptionSchema, CreateSubscriptionSchema]


def errors(schema: type[Schema], body: Any) -> Any:
    with pytest.raises(ValidationError) as caught:
        schema().load(body)
    return caught.value.messages


def test_a_preview_accepts_plan_and_quantity() -> None:
    assert ChangeCommandSchema().load({"plan": "plus", "quantity": 3}) == ChangeCommand(plan="plus", quantity=3)
    assert ChangeCommandSchema().load({"quantity": 1_000_000}) == ChangeCommand(quantity=1_000_000)


def test_a_modification_accepts_a_quote_instead() -> None:
    assert ModifySubscriptionSchema().load({"quote": "a.b-c_d"}) == ChangeCommand(quote="a.b-c_d")


def test_a_creation_accepts_a_card_and_needs_no_plan() -> None:
    body: dict[str, Any] = {"plan": "plus", "quantity": 1, "payment_method": "pm_1", "quote": "a.b.c"}
    assert CreateSubscriptionSchema().load(body) == ChangeCommand(**body, enroll=True)
    assert CreateSubscriptionSchema().load({}) == ChangeCommand(enroll=True)


@pytest.mark.parametrize("body", [{"trial": 1}, {"trial": "true"}, {"trial": True, "quote": "a.b.c"}])
def test_a_trial_is_a_boolean_without_a_quote(body: Any) -> None:
    errors(ModifySubscriptionSchema, body)
    assert ModifySubscriptionSchema().load({"trial": True}) == ChangeCommand(trial=True)


@pytest.mark.parametrize("schema", [ChangeCommandSchema, ModifySubscriptionSchema])
def test_an_empty_body_is_refused(schema: type[Schema]) -> None:
    errors(schema, {})


@pytest.mark.parametrize("schema", COMMANDS)
@pytest.mark.parametrize("body", [None, [], [{"plan": "plus"}], "plus", 1, True])
def test_a_body_that_is_not_an_object_is_refused(schema: type[Schema], body: Any) -> None:
    errors(schema, body)


@pytest.mark.parametrize("schema", COMMANDS)
@pytest.mark.parametrize("field", ["organization_id", "Plan", "", "__class__", "price", "plan "])
def test_an_unknown_field_is_refused_and_named(schema: type[Schema], field: str) -> None:
    assert errors(schema, {"plan": "plus", field: "x"}) == {field: ["Unknown field."]}


def test_a_preview_refuses_quote_and_card() -> None:
    assert set(errors(ChangeCommandSchema, {"plan": "plus", "quote": "a", "payment_method": "pm_1"})) == {
        "quote",
        "payment_method",
    }


@pytest.mark.parametrize("schema", COMMANDS)
@pytest.mark.parametrize(
    "quantity", ["1", True, False, 1.0, 1.5, 0, -1, 1_000_001, 10**30, None, [1], {}, "", float("nan")]
)
def test_a_quantity_must_be_a_positive_integer(schema: type[Schema], quantity: Any) -> None:
    assert set(errors(schema, {"plan": "plus", "quantity": quantity})) == {"quantity"}


@pytest.mark.parametrize("schema", COMMANDS)
@pytest.mark.parametrize("plan", ["", "Plus", "plus\n", "plus\0", " plus", "a" * 65, 1, True, None, ["plus"], {}])
def test_an_invalid_plan_key_is_refused(schema: type[Schema], plan: Any) -> None:
    assert set(errors(schema, {"plan": plan})) == {"plan"}


BAD_IDS = ["", "pm_1\n", "\npm_1", "pm_1\0", "pm_1/../x", "pm 1", "pm_é", "pm_\u0661", "p" * 256, 1, True, None, [], {}]


@pytest.mark.parametrize("found", BAD_IDS)
def test_an_invalid_card_id_is_refused(found: Any) -> None:
    assert set(errors(CreateSubscriptionSchema, {"plan": "plus", "payment_method": found})) == {"payment_method"}
    assert set(errors(DefaultPaymentMethodSchema, {"payment_method": found})) == {"payment_method"}


def test_a_default_card_is_required() -> None:
    assert DefaultPaymentMethodSchema().load({"payment_method": "pm_1"}) == {"payment_method": "pm_1"}
    assert set(errors(DefaultPaymentMethodSchema, {})) == {"payment_method"}


@pytest.mark.parametrize("quote", ["", "a b", "a\n", "a\0", "a" * 4097, 1, None, ["a"]])
def test_an_invalid_quote_token_is_refused(quote: Any) -> None:
    assert set(errors(ModifySubscriptionSchema, {"quote": quote})) == {"quote"}


def test_times_are_written_in_utc_with_z() -> None:
    schema = Schema.from_dict({"at": UtcDateTime()})()
    noon = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
    assert schema.dump({"at": noon}) == {"at": "2026-11-01T12:00:00Z"}
    assert schema.dump({"at": noon.astimezone(timezone(timedelta(hours=-5)))}) == {"at": "2026-11-01T12:00:00Z"}
    assert schema.dump({"at": noon.replace(microsecond=1)}) == {"at": "2026-11-01T12:00:00.000001Z"}
    assert schema.dump({"at": None}) == {"at": None}
