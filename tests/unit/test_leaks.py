"""The check of all logs finds each kind of secret, and nothing in an ordinary line."""

import logging

import pytest

from tests.support.leaks import LeakDetector, find_leaks


@pytest.mark.parametrize(
    "leak",
    [
        *("sk_test_1234", "rk_live_1234", "whsec_abcd1234", "seti_1_secret_2", f"v1={'0f' * 32}"),
        *("eyJhbGciOiJI.eyJzdWIi.c2ln", "ada@ada.example", "•••• 4242", r"\u2022\u2022\u2022\u2022 4242"),
        "4242424242424242",
    ],
)
def test_leak_is_found(leak: str) -> None:
    [found] = find_leaks(f'{{"event": "x {leak} y"}}')
    assert found in leak


def test_ordinary_line_has_no_leak() -> None:
    line = '{"path": "/v1/customers/cus_1", "status": 200, "ms": 4.4, "timestamp": "2026-11-30T08:06:39.828474Z"}'
    line += " [SQL: SELECT plan_changes_1.client_secret AS client_secret_1]"
    line += " Read timed out. (read timeout=3.4123456789012345)"
    assert find_leaks(f"{line} STRIPE_SECRET_KEY must look like sk_test_… postgresql://gateway@db/gateway") == []


def test_detector_reads_the_traceback_too() -> None:
    detector, error = LeakDetector(), ValueError("ada@ada.example")
    info = (ValueError, error, None)
    detector.handle(logging.LogRecord("x", logging.ERROR, __file__, 1, "failed", None, info))
    assert set(detector.leaks) == {"ada@ada.example"}
