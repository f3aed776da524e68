"""A claim is linked only if nothing contradicts it."""

import pytest

from gateway.errors import InvalidRequest
from gateway.services.adoption.claims import Reason, Stored, decide_links, read_rows

NOTHING = Stored(customers={}, deleted=())
HEADER = "customer_id,organization_id"


def reasons(claims: dict[str, set[str]], stored: Stored = NOTHING, **readable: bool) -> dict[str, Reason]:
    listed = dict.fromkeys(claims, True) | readable
    return {each.customer_id: each.reason for each in decide_links(claims, listed, stored).refusals}


def test_undisputed_claims_are_linked() -> None:
    decision = decide_links({"a": {"org_a"}, "b": {"org_b"}}, {"a": True, "b": True, "c": True}, NOTHING)
    assert (decision.links, decision.linked, decision.refusals) == ({"a": "org_a", "b": "org_b"}, {}, [])


def test_stored_link_is_not_made_again() -> None:
    decision = decide_links({"a": {"org_a"}}, {"a": True}, Stored(customers={"org_a": "a"}, deleted=()))
    assert (decision.links, decision.linked, decision.refusals) == ({}, {"a": "org_a"}, [])


@pytest.mark.parametrize("rivals", [2, 3])
def test_customers_of_one_organization_are_all_refused(rivals: int) -> None:
    names = [f"cus_{number}" for number in range(rivals)]
    assert reasons({name: {"org_a"} for name in names}) == dict.fromkeys(names, Reason.TWO_CUSTOMERS)


def test_linked_customer_keeps_its_organization_from_a_rival() -> None:
    stored = Stored(customers={"org_a": "a"}, deleted=())
    assert reasons({"a": {"org_a"}, "b": {"org_a"}}, stored) == {"b": Reason.OTHER_CUSTOMER}


def test_contradiction_refuses_the_rivals_too() -> None:
    assert reasons({"a": {"org_a", "org_b"}, "b": {"org_b"}, "c": {"org_c"}}) == {
        "a": Reason.CONTRADICTION,
        "b": Reason.TWO_CUSTOMERS,
    }


def test_customer_of_another_organization_stays_there() -> None:
    stored = Stored(customers={"org_a": "a"}, deleted=())
    assert reasons({"a": {"org_b"}}, stored) == {"a": Reason.OTHER_ORGANIZATION}


def test_deleted_customer_is_never_replaced() -> None:
    stored = Stored(customers={"org_a": "a"}, deleted={"org_a"})
    assert reasons({"a": {"org_a"}, "b": {"org_a"}}, stored) == {"a": Reason.DELETED, "b": Reason.DELETED}


def test_unreadable_customer_is_refused() -> None:
    assert reasons({"a": {"org_a"}}, a=False) == {"a": Reason.UNREADABLE}


@pytest.mark.parametrize("organization", ["", "two words", "x" * 129, "org\n", "org\0", "örg"])
def test_impossible_organization_is_refused(organization: str) -> None:
    assert reasons({"a": {organization}}) == {"a": Reason.INVALID_ORGANIZATION}


def test_file_may_repeat_a_row_and_hold_other_columns() -> None:
    rows = read_rows([f"name,{HEADER}", "Ada,a,org_a", "Ada, a , org_a ", "Bob,b,org_b", "Bob,b,org_c"])
    assert rows == {"a": {"org_a"}, "b": {"org_b", "org_c"}}


@pytest.mark.parametrize("lines", [[], ["a,org_a"], [HEADER, "a"], [HEADER, ",org_a"], [HEADER, "a,  "]])
def test_incomplete_file_is_refused(lines: list[str]) -> None:
    with pytest.raises(InvalidRequest):
        read_rows(lines)
