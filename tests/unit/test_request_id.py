"""A request keeps the id that it brings, if the id can be logged safely."""

import pytest

from gateway.request_id import choose_request_id

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.mark.parametrize("given", ["a", "req-1.2_3", "x" * 64])
def test_safe_id_is_kept(given: str) -> None:
    assert choose_request_id({"HTTP_X_REQUEST_ID": given}) == given


@pytest.mark.parametrize("given", ["", "x" * 65, "a b", 'a"b', "a\nb", "a\n", "-rf", "ä", "a;b", "$(a)"])
def test_unsafe_id_is_replaced(given: str) -> None:
    chosen = choose_request_id({"HTTP_X_REQUEST_ID": given})
    assert chosen != given
    assert len(chosen) == 32


def test_trace_id_is_taken_if_there_is_no_other() -> None:
    parent = {"HTTP_TRACEPARENT": f"00-{TRACE}-00f067aa0ba902b7-01"}
    assert choose_request_id(parent) == TRACE
    assert choose_request_id(parent | {"HTTP_X_REQUEST_ID": "mine"}) == "mine"


@pytest.mark.parametrize("version", ["ff", "0", "00-"])
def test_malformed_trace_is_not_taken(version: str) -> None:
    assert choose_request_id({"HTTP_TRACEPARENT": f"{version}-{TRACE}-00f067aa0ba902b7-01"}) != TRACE
    assert choose_request_id({"HTTP_TRACEPARENT": f"00-{'0' * 32}-00f067aa0ba902b7-01"}) != "0" * 32


def test_each_request_without_an_id_gets_its_own() -> None:
    assert choose_request_id({}) != choose_request_id({})
