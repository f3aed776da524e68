"""Who may start the trial, and what Plan Details show of one."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from gateway.catalog import Catalog, Trial
from gateway.db.models import Subscription
from gateway.services.plan_table.derive import never_enrolled
from gateway.services.subscription.policy import Need, check_change
from gateway.services.subscription.terms import Contract
from gateway.services.subscription.trials import find_startable, view_trial
from tests.support.catalogs import PLAIN_CATALOG

NOW = datetime(2026, 11, 1, tzinfo=UTC)
MONTHLY = Contract(currency="usd", interval="month")
CATALOG = replace(
    PLAIN_CATALOG,
    plans=tuple(replace(plan, trial=Trial(days=30)) if plan.key == "plus" else plan for plan in PLAIN_CATALOG.plans),
)
CHARGED = Subscription(collection_method="charge_automatically")
SENT = Subscription(collection_method="send_invoice")


@pytest.mark.parametrize(
    ("catalog", "plan", "contract", "subscription", "had_trial", "startable"),
    [
        (CATALOG, "free", MONTHLY, None, False, True),
        (CATALOG, "free", MONTHLY, CHARGED, False, True),
        (CATALOG, "free", MONTHLY, None, True, False),
        (CATALOG, "free", MONTHLY, SENT, False, False),
        (CATALOG, "free", replace(MONTHLY, currency="eur"), CHARGED, False, False),
        (CATALOG, "free", replace(MONTHLY, scheduled=True), CHARGED, False, False),
        (CATALOG, "free", replace(MONTHLY, classic=True), CHARGED, False, False),
        (CATALOG, "plus", MONTHLY, CHARGED, False, False),
        (CATALOG, "enterprise", MONTHLY, CHARGED, False, False),
        (PLAIN_CATALOG, "free", MONTHLY, None, False, False),
    ],
)
def test_trial_starts_once_and_from_the_floor_plan(
    catalog: Catalog,
    plan: str,
    contract: Contract,
    subscription: Subscription | None,
    had_trial: bool,
    startable: bool,
) -> None:
    found = find_startable(catalog, plan, contract, subscription, had_trial=had_trial)
    assert (found is not None) == startable


@pytest.mark.parametrize(
    ("status", "without", "has_method", "left", "shown"),
    [
        ("trialing", "cancel", False, timedelta(days=2, seconds=1), (3, False)),
        ("trialing", "cancel", True, timedelta(days=2), (2, True)),
        ("trialing", "create_invoice", False, timedelta(seconds=1), (1, True)),
        ("trialing", "pause", False, timedelta(seconds=1), (1, False)),
        ("trialing", "pause", True, timedelta(seconds=1), (1, True)),
        ("trialing", "cancel", False, timedelta(days=-1), (0, False)),
        ("active", "cancel", True, timedelta(days=-1), None),
    ],
)
def test_trial_is_shown_until_it_ends(
    status: str, without: str, has_method: bool, left: timedelta, shown: tuple[int, bool] | None
) -> None:
    subscription = Subscription(status=status, missing_payment_method=without, trial_end=NOW + left)
    found = view_trial(subscription, has_method=has_method, now=NOW)
    assert (found and (found.days_left, found.converts)) == shown


@pytest.mark.parametrize(
    ("end", "shown"),
    [
        (timedelta(days=3), (3, False)),
        (timedelta(days=10), (10, False)),
        (timedelta(days=11), (10, True)),
    ],
)
def test_trial_of_a_plan_that_ends_does_not_convert(end: timedelta, shown: tuple[int, bool]) -> None:
    trial_end, cancel_at = NOW + timedelta(days=10), NOW + end
    subscription = Subscription(status="trialing", trial_end=trial_end, cancel_at=cancel_at)
    found = view_trial(subscription, has_method=True, now=NOW)
    assert found is not None
    assert (found.days_left, found.converts, found.ends_at) == (*shown, min(trial_end, cancel_at))


@pytest.mark.parametrize(("ends_unpaid", "needs"), [(True, {Need.PAID_UP}), (False, {Need.PAID_UP, Need.CARD})])
def test_more_units_need_no_card_while_nothing_is_owed(ends_unpaid: bool, needs: set[Need]) -> None:
    current = replace(never_enrolled("free"), plan="plus", requested_plan="plus", subscription_id="sub_1")
    contract = replace(MONTHLY, ends_unpaid=ends_unpaid)
    assert check_change(CATALOG, current, CATALOG.get("plus"), 2, contract).needs == needs
