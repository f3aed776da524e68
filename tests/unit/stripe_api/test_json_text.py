"""Stripe's JSON, also where it is no Unicode."""

from typing import Any

import orjson
import pytest

from gateway.stripe_api.json_text import dumps, loads


@pytest.mark.parametrize("value", [{"name": "Half \ud83d"}, ["\ude00\ud83d"], {"\ud83d": 1}, "\ud83d", "\U0001f600"])
def test_half_a_character_is_read_and_written(value: Any) -> None:
    assert loads(dumps(value)) == value


def test_what_is_unicode_is_read_and_written_by_orjson() -> None:
    value = {"name": "Zoë \U0001f600", "amounts": [1, 2.5, None, True]}
    assert dumps(value) == orjson.dumps(value)
    assert loads(dumps(value)) == value


HALF = b'"\\ud83d"'


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"\xff",
        b'"\xed\xa0\xbd"',
        b"NaN",
        HALF + b"x",
        b"[" + HALF,
        b"[" + HALF + b", NaN]",
        b"[" + HALF + b", -Infinity]",
        b"[" + HALF + b', "\xff"]',
        b"[" + HALF + b', "\n"]',
        b"[" + HALF + b", " + b"9" * 10_000 + b"]",
        b"[" + HALF + b", " + b"[" * 100_000,
        b"\xef\xbb\xbf" + HALF,
        HALF.decode().encode("utf-16"),
    ],
)
def test_what_is_no_json_is_refused_with_half_a_character_in_it_as_well(text: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - orjson's, json's, a codec's: all of them
        loads(text)


@pytest.mark.parametrize("value", [{"half": "\ud83d", "amount": float("nan")}, object()])
def test_what_could_not_be_read_again_is_not_written(value: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        dumps(value)
