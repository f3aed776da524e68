"""``If-Match``: whatever the header says, a condition is never dropped, and only its own tags can hold."""

import pytest
from flask import Flask
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.endpoints.conditional import conditional
from schemas.subscription import ChangeCommand

APP = Flask("conditional")
COMMAND = ChangeCommand(plan="plus")


def versions(header: str | None) -> set[int] | None:
    """What the command is held to."""
    with APP.test_request_context(headers={} if header is None else {"If-Match": header}):
        held = conditional(COMMAND).if_match
    return set(held) if held is not None else None


@pytest.mark.parametrize("header", [None, "*", " *\t"])
def test_without_a_condition_or_with_a_star_any_version_will_do(header: str | None) -> None:
    assert versions(header) is None


@pytest.mark.parametrize(
    ("header", "named"),
    [
        ('"7"', {7}),
        ('"7-0123abc"', {7}),
        ('"0"', {0}),
        ('"7","8-a" ,\t"9"', {7, 8, 9}),
        (', "7",, "8",', {7, 8}),  # a proxy may leave gaps
        ('"x", "7", "x,8", "\xe4"', {7}),
        ('W/"7", "8"', {8}),  # a weak tag is of something that is only nearly the same
        ('"7x", "-7", "7', set()),
    ],
)
def test_the_versions_of_a_list_of_tags_are_named(header: str, named: set[int]) -> None:
    assert versions(header) == named


MALFORMED = ["", " ", ",", '"', '""', '""*', "7", '"7" "8"', '"7", 8', '*, "7"', '"a,"7"', 'w/"7"', '"7 "', '"7"\x7f']


@pytest.mark.parametrize("header", [*MALFORMED, '"' + "9" * 5000 + '"'])
def test_what_is_no_list_of_our_tags_matches_nothing(header: str) -> None:
    assert versions(header) == set()


PIECES = st.sampled_from(['"', ",", "*", "W/", "-", " ", "\t", "7", "9" * 5000, '"7"', '"8-a"', "\xe4", "\x00"])
TEXT = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n"))


@given(st.lists(PIECES).map("".join) | TEXT)
@example('"' * 4000 + "x")
@example(" " * 8000 + "x")
def test_no_header_drops_the_condition_or_crashes(header: str) -> None:
    assert (versions(header) is None) == (header.strip(" \t") == "*")


@given(st.lists(st.tuples(st.integers(0, 10**9), st.sampled_from(["", "-", "-0a"]))))
def test_tags_of_ours_are_read_back(tags: list[tuple[int, str]]) -> None:
    assert versions(", ".join(f'"{version}{rest}"' for version, rest in tags)) == {version for version, _ in tags}
