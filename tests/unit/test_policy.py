"""Who may change which plan to which: the whole table, as the product promises it."""

from dataclasses import replace

import pytest

from gateway.errors import ContactSalesRequired, GatewayError, InvalidRequest, NoChange, PaymentMethodRequired
from gateway.services.catalog import Catalog
from gateway.services.plan_table import NEVER_ENROLLED, PlanState
from gateway.services.policy import Transition, action_towards, actions_from, check, check_payment_method

CATALOG = Catalog.load()
SALES, SAME = ContactSalesRequired, NoChange


def on(plan: str, quantity: int = 1) -> PlanState:
    """An enrolled organization."""
    return replace(NEVER_ENROLLED, plan=plan, requested_plan=plan, quantity=quantity, subscription_id="sub_1")


@pytest.mark.parametrize(
    ("source", "target", "outcome"),
    [
        ("free", "free", SAME),
        ("free", "plus", "upgrade"),
        ("free", "enterprise", SALES),
        ("plus", "free", "downgrade"),
        ("plus", "plus", SAME),
        ("plus", "enterprise", SALES),
        ("enterprise", "free", SALES),
        ("enterprise", "plus", SALES),
        ("enterprise", "enterprise", SALES),
        ("unmapped", "free", SALES),
        ("unmapped", "plus", SALES),
        ("unmapped", "enterprise", SALES),
    ],
)
def test_the_matrix(source: str, target: str, outcome: str | type[GatewayError]) -> None:
    plan = CATALOG.get(target)
    if isinstance(outcome, str):
        assert check(on(source), plan, 1).action == outcome
    else:
        with pytest.raises(outcome):
            check(on(source), plan, 1)


def test_unmapped_is_nothing_that_can_be_asked_for() -> None:
    with pytest.raises(InvalidRequest) as caught:
        CATALOG.get("unmapped")
    assert caught.value.members == {"errors": {"plan": ["Must be one of: free, plus, enterprise."]}}


def test_who_was_never_enrolled_enrols_on_free_and_may_go_straight_to_plus() -> None:
    assert check(NEVER_ENROLLED, CATALOG.get("free"), 1) == Transition(action="enroll")
    assert check(NEVER_ENROLLED, CATALOG.get("plus"), 1) == Transition(action="upgrade", needs_payment_method=True)
    with pytest.raises(ContactSalesRequired):
        check(NEVER_ENROLLED, CATALOG.get("enterprise"), 1)


@pytest.mark.parametrize(("held", "wanted"), [(1, 2), (5, 1), (99, 100)])
def test_another_quantity_of_plus_is_a_change(held: int, wanted: int) -> None:
    assert check(on("plus", held), CATALOG.get("plus"), wanted).action == "change_quantity"


@pytest.mark.parametrize(("plan", "quantity"), [("free", 1), ("plus", 1), ("plus", 5)])
def test_what_the_organization_has_already_is_no_change(plan: str, quantity: int) -> None:
    with pytest.raises(NoChange):
        check(on(plan, quantity), CATALOG.get(plan), quantity)


def test_what_counts_is_the_plan_asked_for_and_not_the_one_in_use() -> None:
    unpaid = replace(on("plus"), plan="free", status="unpaid", standing="suspended")
    assert check(unpaid, CATALOG.get("free"), 1).action == "downgrade"
    with pytest.raises(NoChange):
        check(unpaid, CATALOG.get("plus"), 1)


@pytest.mark.parametrize(("target", "quantity"), [("plus", 101), ("plus", 1_000_000), ("free", 2)])
def test_more_than_the_plan_allows_is_refused_and_the_limit_is_named(target: str, quantity: int) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check(on("plus"), CATALOG.get(target), quantity)
    plan = CATALOG.get(target)
    errors = {"quantity": [f"At most {plan.max_quantity} for {plan.name}."]}
    assert caught.value.members == {"errors": errors}


def test_the_largest_quantity_is_allowed() -> None:
    assert check(on("free"), CATALOG.get("plus"), 100).action == "upgrade"


def test_sales_is_named_before_the_quantity() -> None:
    with pytest.raises(ContactSalesRequired):
        check(on("plus"), CATALOG.get("enterprise"), 2)


@pytest.mark.parametrize(
    ("source", "target", "quantity", "needed"),
    [("free", "plus", 1, True), ("plus", "plus", 2, True), ("plus", "free", 1, False)],
)
def test_a_card_is_needed_for_what_costs_more(source: str, target: str, quantity: int, *, needed: bool) -> None:
    transition = check(on(source), CATALOG.get(target), quantity)
    assert transition.needs_payment_method is needed
    check_payment_method(transition, on_file=True)
    if needed:
        with pytest.raises(PaymentMethodRequired):
            check_payment_method(transition, on_file=False)
    else:
        check_payment_method(transition, on_file=False)


def test_enrolling_needs_no_card() -> None:
    check_payment_method(check(NEVER_ENROLLED, CATALOG.get("free"), 1), on_file=False)


@pytest.mark.parametrize(
    ("current", "actions"),
    [
        ("free", ["current", "upgrade", "contact_sales"]),
        ("plus", ["downgrade", "current", "contact_sales"]),
        ("enterprise", ["contact_sales", "contact_sales", "current"]),
        ("unmapped", ["contact_sales", "contact_sales", "contact_sales"]),
    ],
)
def test_the_button_beside_each_plan(current: str, actions: list[str]) -> None:
    assert [action_towards(current, plan) for plan in CATALOG.plans] == actions


@pytest.mark.parametrize(
    ("current", "actions"),
    [
        ("free", ["change_plan", "contact_sales"]),
        ("plus", ["change_plan", "cancel_plan", "contact_sales"]),
        ("enterprise", ["contact_sales"]),
        ("unmapped", ["contact_sales"]),
    ],
)
def test_what_can_be_done_about_each_plan(current: str, actions: list[str]) -> None:
    assert actions_from(current, CATALOG) == actions
