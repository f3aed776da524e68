"""The shape of ``catalog.toml``: its keys and their values. ``checks.py`` compares the values with each other."""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, get_args

from marshmallow import RAISE, Schema, ValidationError, fields

from gateway.catalog.currencies import CURRENCIES
from gateway.catalog.plans import Aggregation, Charge, Interval, TaxBehavior, TiersMode

LARGEST = 99_999_999  # the largest amount per unit in most of Stripe's currencies
DECIMAL = re.compile(r"[0-9]{1,8}(\.[0-9]{1,6})?")  # with more digits, Python would write an exponent
KEY = re.compile(r"[a-z0-9_]{1,64}")
NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
Test = Callable[[Any], bool]


class Table(Schema):
    """A table that refuses unknown keys and names the known ones."""

    class Meta:
        """Options for marshmallow."""

        unknown = RAISE

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.error_messages["type"] = "expected a table"
        self.error_messages["unknown"] = f"unknown key, expected one of {', '.join(self.fields)}"


class Value(fields.Field[Any]):
    """A value that passes ``test``. ``expected`` says in words which values do."""

    def __init__(self, expected: str, test: Test, **kwargs: Any) -> None:
        super().__init__(**kwargs, error_messages={"required": f"is missing, expected {expected}"})
        self.expected, self.test = expected, test

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Any:
        return check(value, self.expected, self.test)


def check(value: Any, expected: str, test: Test) -> Any:
    """Return the value. Raise ValidationError if it does not pass ``test``."""
    if not test(value):
        raise ValidationError(f"expected {expected}, not {value!r}")
    return value


def is_whole(value: Any, least: int, most: int = 1_000_000_000) -> bool:
    """Return whether the value is a whole number from ``least`` to ``most``. True and 1.0 are none."""
    return type(value) is int and least <= value <= most


def is_text(value: Any, pattern: re.Pattern[str]) -> bool:
    """Return whether the value is a string that ``pattern`` matches."""
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def is_set_of_text(values: list[Any]) -> bool:
    """Return whether the values are strings and differ from each other."""
    return all(isinstance(each, str) for each in values) and len(set(values)) == len(values)


def text(most: int, **kwargs: Any) -> Value:
    """Return a field for text of one line."""
    line = re.compile(rf"[^\x00-\x1f\x7f]{{0,{most}}}")
    return Value(f"a line of at most {most} characters", lambda value: is_text(value, line), **kwargs)


def slug(**kwargs: Any) -> Value:
    """Return a field for a key."""
    return Value("a key of lower-case letters, digits and _", lambda value: is_text(value, KEY), **kwargs)


def whole(least: int, most: int = 1_000_000_000, what: str = "a whole number", **kwargs: Any) -> Value:
    """Return a field for a whole number."""
    return Value(f"{what} from {least} to {most}", lambda value: is_whole(value, least, most), **kwargs)


def flag() -> Value:
    """Return a field for true or false."""
    return Value("true or false", lambda value: type(value) is bool)


def one_of(literal: Any, **kwargs: Any) -> Value:
    """Return a field for one of the values of a Literal type."""
    words = get_args(literal)
    return Value(f"one of {', '.join(words)}", lambda value: value in words, **kwargs)


def currency_code(**kwargs: Any) -> Value:
    """Return a field for a currency."""
    return Value("a currency of Stripe in lower case, such as usd", lambda value: value in CURRENCIES.split(), **kwargs)


def minor_units() -> Value:
    """Return a field for an amount in minor units."""
    return whole(0, LARGEST, "a whole number of minor units")


def tables(schema: type[Table], **kwargs: Any) -> fields.Nested:
    """Return a field for a list of tables."""
    words: dict[str, Any] = {"type": "expected a list of tables", "required": "is missing, expected a list of tables"}
    return fields.Nested(schema(many=True), error_messages=words, **kwargs)


class DecimalAmount(Value):
    """An amount with a fraction of a minor unit, as text. A float could not hold every such amount."""

    def __init__(self) -> None:
        super().__init__('minor units as text, such as "0.25"', lambda value: is_text(value, DECIMAL))

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Decimal:
        return Decimal(super()._deserialize(value))


class Names(fields.Field[Any]):
    """A table of names that a person chose. Each of its values passes ``test``."""

    def __init__(self, expected: str, test: Test) -> None:
        super().__init__()
        self.expected, self.test = expected, test

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> dict[str, Any]:
        check(value, f"a table of names, each with {self.expected}", lambda table: isinstance(table, Mapping))
        mistakes = {}
        for name, each in value.items():
            try:
                check(name, "a name of letters, digits and _.-", lambda found: is_text(found, NAME))
                check(each, self.expected, self.test)
            except ValidationError as error:
                mistakes[name] = error.messages
        if mistakes:
            raise ValidationError(mistakes)
        return dict(value)


class Limits(Names):
    """A table of limits, each a whole number or "unlimited"."""

    def __init__(self) -> None:
        super().__init__('a whole number or "unlimited"', lambda value: value == "unlimited" or is_whole(value, 0))

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> dict[str, int | None]:
        found = super()._deserialize(value)
        return {name: None if each == "unlimited" else each for name, each in found.items()}


class Features(Names):
    """A list of features, or a table of features with true or false."""

    def __init__(self) -> None:
        super().__init__("true or false", lambda value: type(value) is bool)

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> dict[str, bool]:
        is_list = isinstance(value, list)
        if is_list:
            check(value, "each feature once, as text", is_set_of_text)
        return super()._deserialize(dict.fromkeys(value, True) if is_list else value)


class Amounts(Names):
    """A table of amounts by currency."""

    def __init__(self) -> None:
        super().__init__(
            f"a whole number of minor units from 1 to {LARGEST}", lambda value: is_whole(value, 1, LARGEST)
        )


class TierTable(Table):
    """A tier of a price."""

    up_to = whole(1)
    unit_amount = minor_units()
    unit_amount_decimal = DecimalAmount()
    flat_amount = minor_units()


class MeteredPriceTable(Table):
    """The price of a plan's usage in one currency."""

    currency = currency_code(required=True)
    unit_amount = minor_units()
    unit_amount_decimal = DecimalAmount()
    tiers = tables(TierTable)
    tiers_mode = one_of(TiersMode)
    tax_behavior = one_of(TaxBehavior)
    lookup_key = Value("a lookup key of at most 200 characters", lambda value: is_text(value, re.compile(r"\S{1,200}")))


class PriceTable(MeteredPriceTable):
    """A price of a plan's quantity."""

    interval = one_of(Interval, required=True)


class MeteredTable(Table):
    """Usage that a plan bills."""

    meter = slug(required=True)
    included = whole(0)
    prices = tables(MeteredPriceTable, required=True)


class ExposureTable(Table):
    """What an organization may owe in one currency."""

    before_payment = whole(0, what="a whole number of minor units", required=True)
    after_payment = whole(0, what="a whole number of minor units", required=True)


class ExposureField(fields.Field[Any]):
    """One table for a plan that is sold in one currency, or one table per currency."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> dict[str, Any]:
        check(value, "a table", lambda table: isinstance(table, Mapping))
        if value.keys() & ExposureTable().fields.keys() or not value:
            return {"": ExposureTable().load(value)}
        found, mistakes = {}, {}
        for name, each in value.items():
            try:
                found[name] = ExposureTable().load(each)
            except ValidationError as error:
                mistakes[name] = error.messages
        if mistakes:
            raise ValidationError(mistakes)
        return found


class TrialTable(Table):
    """A trial."""

    days = whole(1, 730, required=True)  # Stripe allows two years


class PlanTable(Table):
    """A plan."""

    key = slug(required=True)
    name = text(100, required=True)
    description = text(500, required=True)
    rank = whole(0, required=True)
    sales = flag()
    archived = flag()
    unit = slug()
    max_quantity = whole(1, 1_000_000)
    prices = tables(PriceTable)
    metered = tables(MeteredTable)
    limits = Limits()
    features = Features()
    trial = fields.Nested(TrialTable)
    charge = one_of(Charge)
    exposure = ExposureField()


class MeterTable(Table):
    """A meter."""

    key = slug(required=True)
    name = text(100, required=True)
    event_name = text(100, required=True)
    aggregation = one_of(Aggregation, required=True)


class CatalogTable(Table):
    """The whole file."""

    plans = tables(PlanTable, required=True)
    meters = tables(MeterTable)
    on_dispute = Value("keep or suspend", lambda value: value in ("keep", "suspend"))
    automatic_tax = flag()
    tax_behavior = one_of(TaxBehavior)
    spend_alerts = Amounts()
