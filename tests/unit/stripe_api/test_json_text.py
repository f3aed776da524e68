"""Stripe's JSON, including lone surrogates, which are not valid Unicode."""

from typing import Any

import orjson
import pytest

from gateway.stripe_api.json_text import dumps, loads


@pytest.mark.parametrize("value", [{"name": "Half \ud83d"}, ["\ude00\ud83d"], {"\ud83d": 1}, "\ud83d", "\U0001f600"])
def test_a_lone_surrogate_is_read_and_written(value: Any) -> None:
    assert loads(dumps(value)) == value


def test_valid_unicode_is_written_as_by_orjson() -> None:
    value = {"name": "Zoë \U0001f600", "amounts": [1, 2.5, None, True]}
    assert dumps(value) == orjson.dumps(value)
    assert loads(dumps(value)) == value


SURROGATE = b'"\\ud83d"'


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"\xff",
        b'"\xed\xa0\xbd"',
        b"NaN",
        SURROGATE + b"x",
        b"[" + SURROGATE,
        b"[" + SURROGATE + b", NaN]",
        b"[" + SURROGATE + b", -Infinity]",
        b"[" + SURROGATE + b', "\xff"]',
        b"[" + SURROGATE + b', "\n"]',
        b"[" + SURROGATE + b", " + b"9" * 10_000 + b"]",
        b"[" + SURROGATE + b", " + b"[" * 100_000,
        b"\xef\xbb\xbf" + SURROGATE,
        SURROGATE.decode().encode("utf-16"),
    ],
)
def test_invalid_json_is_refused_even_with_a_lone_surrogate(text: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the error may come from orjson, json or a codec
        loads(text)


@pytest.mark.parametrize("value", [{"half": "\ud83d", "amount": float("nan")}, object()])
def test_a_value_that_json_cannot_hold_is_not_written(value: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        dumps(value)
