"""The schemas of spend alerts."""

from typing import Any

from marshmallow import ValidationError, fields, validate

from schemas.fields import Currency, InputSchema, OutputSchema

MOST_ALERTS = 5
AMOUNT = validate.Range(min=1, max=99_999_999_999, error="Must be a whole number from 1 to 99,999,999,999.")


def check_distinct(amounts: list[Any]) -> None:
    """Raise ValidationError if an amount comes twice."""
    if len(set(amounts)) != len(amounts):
        raise ValidationError("Must name each amount once.")


def limit(**kwargs: Any) -> fields.Integer:
    """Return the field of the spend limit."""
    return fields.Integer(
        strict=True,
        validate=AMOUNT,
        allow_none=True,
        metadata={"description": "minor units. Beyond it, the entitlements say `over_spend_limit`"},
        **kwargs,
    )


class SpendAlertsSchema(InputSchema):
    """The amounts at which an organization wants an alert, in its currency."""

    amounts = fields.List(
        fields.Integer(strict=True, validate=AMOUNT),
        required=True,
        validate=[validate.Length(max=MOST_ALERTS), check_distinct],
        metadata={"description": "minor units, each once", "uniqueItems": True},
    )
    spend_limit = limit(load_default=None)


class ShownSpendAlertsSchema(OutputSchema):
    """The alerts that apply."""

    currency = Currency()
    amounts = fields.List(fields.Integer(), metadata={"description": "minor units, ascending"})
    spend_limit = limit()
