"""Only declines count, and no number of concurrent payments passes the limit."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from threading import Barrier

import pytest
from sqlalchemy import text

from gateway.catalog import Catalog
from gateway.db.models import PlanChange, RateLimitCount
from gateway.errors import CardDeclined, PaymentActionRequired, RateLimited, StripeUnavailable
from gateway.services.plan_changes.request import change_plan
from gateway.services.rate_limits.card_testing import refuse_after_declines
from gateway.services.runtime import Gateway
from schemas.changes import ChangeCommand
from tests.support.api import ApiClient
from tests.support.world import CALLER, World


@pytest.fixture
def gateway(world: World) -> Gateway:
    """Return a gateway with the shipped numbers."""
    return replace(world.gateway, config=replace(world.gateway.config, rate_limit_factor=1))


def try_payment(gateway: Gateway, error: Exception | None) -> None:
    """Pay, with this outcome."""
    with refuse_after_declines(gateway, "org_1"):
        if error is not None:
            raise error


def decline(gateway: Gateway) -> None:
    with pytest.raises(CardDeclined):
        try_payment(gateway, CardDeclined("declined"))


def test_five_declines_within_an_hour_are_the_last(world: World, gateway: Gateway) -> None:
    for _ in range(5):
        decline(gateway)
    with pytest.raises(RateLimited) as refused:
        try_payment(gateway, None)
    assert 3500 < int(refused.value.headers["Retry-After"]) <= 3600
    with world.gateway.database.transaction() as session:
        session.execute(text("UPDATE rate_limit_counts SET expires_at = now() WHERE key LIKE '%hour'"))
    for _ in range(5):
        decline(gateway)
    with pytest.raises(RateLimited) as refused:
        try_payment(gateway, None)
    assert int(refused.value.headers["Retry-After"]) > 80_000


def test_other_ends_of_a_payment_do_not_count(world: World, gateway: Gateway) -> None:
    for error in (StripeUnavailable("away"), PaymentActionRequired("approve")) * 10:
        with pytest.raises(type(error)):
            try_payment(gateway, error)
    for _ in range(10):
        try_payment(gateway, None)
    assert {row.count for row in world.rows(RateLimitCount)} == {0}


def test_concurrent_payments_reserve_their_place(gateway: Gateway) -> None:
    calls, threads = [], 12
    start = Barrier(threads)

    def pay(_: int) -> None:
        start.wait(30)
        with suppress(CardDeclined, RateLimited), refuse_after_declines(gateway, "org_1"):
            calls.append("at Stripe")
            raise CardDeclined("declined")

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(pay, range(threads)))
    assert 0 < len(calls) <= 5


def test_a_change_that_is_charged_now_counts_its_declines(world: World, api: ApiClient, gateway: Gateway) -> None:
    api.add_card(world.stripe, "pm_card_chargeCustomerFail")
    plans = tuple(replace(each, charge="now") for each in gateway.catalog.plans)
    gateway = replace(gateway, catalog=Catalog(plans))
    for _ in range(5):
        with pytest.raises(CardDeclined):
            change_plan(gateway, CALLER, ChangeCommand(plan="plus"))
    with pytest.raises(RateLimited):
        change_plan(gateway, CALLER, ChangeCommand(plan="plus"))
    assert [row.state for row in world.rows(PlanChange) if row.to_plan == "plus"] == ["failed"] * 5
