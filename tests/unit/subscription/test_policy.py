"""The policy of plan changes, with the whole table of transitions."""

from dataclasses import replace

import pytest

from gateway.catalog import Catalog
from gateway.errors import (
    ContactSalesRequired,
    GatewayError,
    InvalidRequest,
    NoChange,
    PaymentMethodRequired,
    PlanUnavailable,
    UnpaidInvoice,
)
from gateway.services.plan_table.derive import PlanState, never_enrolled
from gateway.services.subscription.policy import (
    CHANGE_INTERVAL,
    DOWNGRADE,
    ENROLL,
    UPGRADE,
    can_change_quantity,
    check_change,
    check_needs,
    choose_action,
    list_actions,
    resolve_target,
)
from gateway.services.subscription.terms import Contract
from tests.support.catalogs import PLAIN_CATALOG

CATALOG = PLAIN_CATALOG
NEVER_ENROLLED = never_enrolled("free")
MONTHLY = Contract(currency="usd", interval="month")
SALES, SAME = ContactSalesRequired, NoChange


def on(plan: str, quantity: int = 1) -> PlanState:
    """Return the state of an enrolled organization."""
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
def test_each_pair_of_plans_has_its_transition(source: str, target: str, outcome: str | type[GatewayError]) -> None:
    plan = CATALOG.get(target)
    if isinstance(outcome, str):
        assert check_change(CATALOG, on(source), plan, 1, MONTHLY).action == outcome
    else:
        with pytest.raises(outcome):
            check_change(CATALOG, on(source), plan, 1, MONTHLY)


def test_unmapped_cannot_be_requested() -> None:
    with pytest.raises(InvalidRequest) as caught:
        CATALOG.get("unmapped")
    assert caught.value.members == {"errors": {"plan": ["Must be one of: free, plus, enterprise."]}}


def test_the_target_defaults_to_the_current_plan() -> None:
    assert resolve_target(CATALOG, on("plus"), None) == CATALOG.get("plus")
    assert resolve_target(CATALOG, on("plus"), "free") == CATALOG.get("free")
    assert resolve_target(CATALOG, NEVER_ENROLLED, None) == CATALOG.get("free")


@pytest.mark.parametrize("present", ["unmapped", "of_last_year"])
def test_a_current_plan_that_is_not_sold_requires_sales(present: str) -> None:
    with pytest.raises(ContactSalesRequired):
        resolve_target(CATALOG, on(present), None)
    with pytest.raises(InvalidRequest):
        resolve_target(CATALOG, on(present), present)
    assert resolve_target(CATALOG, on(present), "plus") == CATALOG.get("plus")


def test_a_new_organization_may_take_free_or_plus() -> None:
    assert check_change(CATALOG, NEVER_ENROLLED, CATALOG.get("free"), 1, MONTHLY) == ENROLL
    assert check_change(CATALOG, NEVER_ENROLLED, CATALOG.get("plus"), 1, MONTHLY) == UPGRADE
    with pytest.raises(ContactSalesRequired):
        check_change(CATALOG, NEVER_ENROLLED, CATALOG.get("enterprise"), 1, MONTHLY)


@pytest.mark.parametrize(("held", "wanted"), [(1, 2), (5, 1), (99, 100)])
def test_another_quantity_of_plus_is_a_change(held: int, wanted: int) -> None:
    assert check_change(CATALOG, on("plus", held), CATALOG.get("plus"), wanted, MONTHLY).action == "change_quantity"


def test_a_quantity_above_the_limit_can_be_reduced_by_any_number() -> None:
    held, plus = on("plus", 150), CATALOG.get("plus")
    assert check_change(CATALOG, held, plus, 140, MONTHLY).needs == frozenset()
    with pytest.raises(InvalidRequest):
        check_change(CATALOG, held, plus, 151, MONTHLY)
    with pytest.raises(NoChange):
        check_change(CATALOG, held, plus, 150, MONTHLY)


@pytest.mark.parametrize(("plan", "quantity"), [("free", 1), ("plus", 1), ("plus", 5)])
def test_the_current_plan_and_quantity_are_no_change(plan: str, quantity: int) -> None:
    with pytest.raises(NoChange):
        check_change(CATALOG, on(plan, quantity), CATALOG.get(plan), quantity, MONTHLY)


def test_the_requested_plan_counts_and_not_the_one_in_use() -> None:
    unpaid = replace(on("plus"), plan="free", status="unpaid", standing="suspended")
    assert check_change(CATALOG, unpaid, CATALOG.get("free"), 1, MONTHLY).action == "downgrade"
    with pytest.raises(NoChange):
        check_change(CATALOG, unpaid, CATALOG.get("plus"), 1, MONTHLY)


@pytest.mark.parametrize(("target", "quantity"), [("plus", 101), ("plus", 1_000_000), ("free", 2)])
def test_too_large_a_quantity_is_refused_with_the_limit(target: str, quantity: int) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_change(CATALOG, on("plus"), CATALOG.get(target), quantity, MONTHLY)
    plan = CATALOG.get(target)
    errors = {"quantity": [f"At most {plan.max_quantity} for {plan.name}."]}
    assert caught.value.members == {"errors": errors}


@pytest.mark.parametrize(("target", "quantity"), [("plus", 2), ("free", 1)])
def test_a_paused_subscription_goes_through_sales(target: str, quantity: int) -> None:
    paused = replace(MONTHLY, paused=True)
    with pytest.raises(ContactSalesRequired, match="paused"):
        check_change(CATALOG, on("plus"), CATALOG.get(target), quantity, paused)
    assert list_actions(CATALOG, "plus", paused) == ["contact_sales"]


def test_the_maximum_quantity_is_allowed() -> None:
    assert check_change(CATALOG, on("free"), CATALOG.get("plus"), 100, MONTHLY).action == "upgrade"


def test_contact_sales_takes_precedence_over_the_quantity() -> None:
    with pytest.raises(ContactSalesRequired):
        check_change(CATALOG, on("plus"), CATALOG.get("enterprise"), 2, MONTHLY)


@pytest.mark.parametrize(("source", "held", "target", "wanted"), [("free", 1, "plus", 1), ("plus", 1, "plus", 2)])
def test_buying_more_requires_a_card_and_no_unpaid_invoice(source: str, held: int, target: str, wanted: int) -> None:
    transition = check_change(CATALOG, on(source, held), CATALOG.get(target), wanted, MONTHLY)
    check_needs(transition, card=True, paid_up=True)
    with pytest.raises(PaymentMethodRequired):
        check_needs(transition, card=False)
    with pytest.raises(UnpaidInvoice):
        check_needs(transition, paid_up=False)


@pytest.mark.parametrize(
    ("current", "target", "wanted"),
    [(on("plus", 3), "free", 1), (on("plus", 3), "plus", 2), (NEVER_ENROLLED, "free", 1)],
)
def test_buying_less_and_enrolling_have_no_preconditions(current: PlanState, target: str, wanted: int) -> None:
    check_needs(check_change(CATALOG, current, CATALOG.get(target), wanted, MONTHLY), card=False, paid_up=False)


def test_more_units_of_a_smaller_plan_are_bought() -> None:
    starter = replace(CATALOG.get("plus"), key="starter", rank=1)
    catalog = Catalog((CATALOG.floor, starter, replace(CATALOG.get("plus"), rank=2)))
    assert check_change(catalog, on("plus", 3), starter, 3, MONTHLY) == DOWNGRADE
    with pytest.raises(PaymentMethodRequired):
        check_needs(check_change(catalog, on("plus", 3), starter, 4, MONTHLY), card=False)


@pytest.mark.parametrize(
    ("current", "actions"),
    [
        ("free", ["current", "upgrade", "contact_sales"]),
        ("plus", ["downgrade", "current", "contact_sales"]),
        ("enterprise", ["contact_sales", "contact_sales", "current"]),
        ("unmapped", ["contact_sales", "contact_sales", "contact_sales"]),
    ],
)
def test_the_action_towards_each_plan(current: str, actions: list[str]) -> None:
    assert [choose_action(CATALOG, current, plan, MONTHLY) for plan in CATALOG.plans] == actions


@pytest.mark.parametrize(
    ("current", "actions"),
    [
        ("free", ["change_plan", "contact_sales"]),
        ("plus", ["change_plan", "cancel_plan", "contact_sales"]),
        ("enterprise", ["contact_sales"]),
        ("unmapped", ["contact_sales"]),
    ],
)
def test_the_actions_from_each_plan(current: str, actions: list[str]) -> None:
    assert list_actions(CATALOG, current, MONTHLY) == actions


def sell_yearly() -> Catalog:
    """Return the catalogue with a yearly price of Plus."""
    plus = CATALOG.get("plus")
    yearly = replace(plus, prices=(*plus.prices, replace(plus.prices[0], interval="year")))
    return replace(CATALOG, plans=tuple(yearly if plan is plus else plan for plan in CATALOG.plans))


def test_another_interval_is_bought() -> None:
    catalog, year = sell_yearly(), MONTHLY.with_interval("year")
    plus = catalog.get("plus")
    assert check_change(catalog, on("plus", 3), plus, 3, year) == CHANGE_INTERVAL
    assert check_change(catalog, on("plus", 3), plus, 2, year) == CHANGE_INTERVAL
    assert check_change(catalog, on("free"), plus, 1, year) == UPGRADE
    assert CHANGE_INTERVAL.needs == UPGRADE.needs
    with pytest.raises(NoChange):
        check_change(catalog, on("plus"), plus, 1, MONTHLY.with_interval("month"))
    with pytest.raises(PlanUnavailable):
        check_change(CATALOG, on("plus"), CATALOG.get("plus"), 1, year)


def test_the_interval_can_be_changed_where_another_one_is_sold() -> None:
    catalog = sell_yearly()
    assert "change_interval" in list_actions(catalog, "plus", MONTHLY)
    assert "change_interval" not in list_actions(catalog, "plus", replace(MONTHLY, currency="eur"))
    assert "change_interval" not in list_actions(catalog, "plus", replace(MONTHLY, scheduled=True))
    assert "change_interval" not in list_actions(catalog, "free", MONTHLY)


@pytest.mark.parametrize(
    ("plan", "contract", "reported", "chosen"),
    [
        ("plus", MONTHLY, [], True),
        ("plus", MONTHLY, ["seats"], True),
        ("plus", MONTHLY, ["services"], False),
        ("plus", replace(MONTHLY, scheduled=True), [], False),
        ("free", MONTHLY, [], False),
        ("enterprise", MONTHLY, [], False),
        ("unmapped", MONTHLY, [], False),
    ],
)
def test_the_quantity_is_chosen_unless_it_follows_a_level(
    plan: str, contract: Contract, reported: list[str], chosen: bool
) -> None:
    counted = tuple(replace(each, unit="services") if each.key == "plus" else each for each in CATALOG.plans)
    assert can_change_quantity(replace(CATALOG, plans=counted), plan, contract, reported) == chosen
