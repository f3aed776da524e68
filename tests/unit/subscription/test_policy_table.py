"""The policy table of any catalogue follows from rank, price and ``sales``."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.catalog import Catalog, CatalogPlan
from gateway.errors import ContactSalesRequired, GatewayError, NoChange, PlanUnavailable
from gateway.services.plan_table.derive import PlanState, never_enrolled
from gateway.services.subscription.policy import check_change, choose_action, list_actions, list_transitions
from gateway.services.subscription.terms import Contract
from tests.support.drawn_catalogs import CURRENCIES, INTERVALS, catalogs


def on(catalog: Catalog, plan: str) -> PlanState:
    return replace(never_enrolled(catalog.floor.key), plan=plan, requested_plan=plan, subscription_id="sub_1")


def expect(source: CatalogPlan, target: CatalogPlan, contract: Contract) -> str | type[GatewayError]:
    """Return what the documentation says of a change."""
    if source.sales or target.sales:
        return ContactSalesRequired
    if source is target:
        return NoChange
    costs_nothing = all(price.unit_amount == 0 for price in target.prices)
    prices = {(price.currency, price.interval) for price in target.prices if not target.archived}
    if not costs_nothing and (contract.currency, contract.interval) not in prices:
        return PlanUnavailable
    return "upgrade" if target.rank > source.rank else "downgrade"


@given(catalogs(), st.sampled_from(CURRENCIES), st.sampled_from(INTERVALS))
def test_each_pair_of_plans_of_any_catalogue(catalog: Catalog, currency: str, interval: str) -> None:
    contract = Contract(currency=currency, interval=interval)
    buttons: dict[type[GatewayError], str] = {ContactSalesRequired: "contact_sales", PlanUnavailable: "unavailable"}
    for source in catalog.plans:
        towards = set()
        for target in catalog.plans:
            expected = expect(source, target, contract)
            shown = choose_action(catalog, source.key, target, contract)
            if isinstance(expected, str):
                transition = check_change(catalog, on(catalog, source.key), target, 1, contract)
                assert (transition.action, shown) == (expected, expected)
                assert bool(transition.needs) == (expected == "upgrade")
            else:
                with pytest.raises(expected):
                    check_change(catalog, on(catalog, source.key), target, 1, contract)
                assert shown == ("current" if source is target else buttons[expected])
            towards.add(shown)
        actions = list_actions(catalog, source.key, contract)
        assert ("cancel_plan" in actions) == (not source.sales and source is not catalog.floor)
        assert ("change_plan" in actions) == bool(towards & {"upgrade", "downgrade"})


@given(catalogs())
def test_the_table_has_each_pair_once_and_one_floor_plan(catalog: Catalog) -> None:
    pairs = [(source, target) for source, target, _ in list_transitions(catalog)]
    assert len(set(pairs)) == len(pairs) == len(catalog.plans) ** 2
    assert [plan.is_floor for plan in catalog.plans] == [True] + [False] * (len(catalog.plans) - 1)
