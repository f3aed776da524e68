"""``If-Match``. No header makes the gateway drop the condition, and only the tags in the header match."""

import pytest
from flask import Flask
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.endpoints.conditional import conditional
from schemas.changes import ChangeCommand

APP = Flask("conditional")
COMMAND = ChangeCommand(plan="plus")


def versions(header: str | None) -> set[int] | None:
    """Return the versions that the header requires, or None if it requires none."""
    with APP.test_request_context(headers={} if header is None else {"If-Match": header}):
        held = conditional(COMMAND).if_match
    return set(held) if held is not None else None


@pytest.mark.parametrize("header", [None, "*", " *\t"])
def test_no_condition_and_a_star_match_any_version(header: str | None) -> None:
    assert versions(header) is None


@pytest.mark.parametrize(
    ("header", "named"),
    [
        ('"7"', {7}),
        ('"7-0123abc"', {7}),
        ('"0"', {0}),
        ('"7","8-a" ,\t"9"', {7, 8, 9}),
        (', "7",, "8",', {7, 8}),  # a proxy may leave empty elements
        ('"x", "7", "x,8", "\xe4"', {7}),
        ('W/"7", "8"', {8}),  # If-Match requires a strong comparison, so a weak tag never matches
        ('"7x", "-7", "7', set()),
    ],
)
def test_a_list_of_tags_yields_their_versions(header: str, named: set[int]) -> None:
    assert versions(header) == named


MALFORMED = ["", " ", ",", '"', '""', '""*', "7", '"7" "8"', '"7", 8', '*, "7"', '"a,"7"', 'w/"7"', '"7 "', '"7"\x7f']


@pytest.mark.parametrize("header", [*MALFORMED, '"' + "9" * 5000 + '"'])
def test_a_malformed_list_matches_no_version(header: str) -> None:
    assert versions(header) == set()


PIECES = st.sampled_from(['"', ",", "*", "W/", "-", " ", "\t", "7", "9" * 5000, '"7"', '"8-a"', "\xe4", "\x00"])
TEXT = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n"))


@given(st.lists(PIECES).map("".join) | TEXT)
@example('"' * 4000 + "x")
@example(" " * 8000 + "x")
def test_no_header_drops_the_condition_or_crashes(header: str) -> None:
    assert (versions(header) is None) == (header.strip(" \t") == "*")


@given(st.lists(st.tuples(st.integers(0, 10**9), st.sampled_from(["", "-", "-0a"]))))
def test_our_own_tags_are_read_back(tags: list[tuple[int, str]]) -> None:
    assert versions(", ".join(f'"{version}{rest}"' for version, rest in tags)) == {version for version, _ in tags}
