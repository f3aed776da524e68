"""What the simulation says that plans and usage cost."""

from fractions import Fraction
from typing import Any

from tests.simulation.lives import Step
from tests.simulation.plan_costs import round_cents, sum_plans
from tests.simulation.usage_costs import Used, Window, bound_cost, find_windows
from tests.support.json_types import Json

MONTH = 30 * 86_400
CALLS: Json = {"id": "calls", "unit_amount_decimal": "0.5", "recurring": {"meter": "m"}}


def subscription(*items: Json, status: str = "active") -> Json:
    return {"status": status, "items": {"data": list(items)}}


def plan(amount: int, period: int = 0, quantity: int = 1) -> Json:
    price = {"id": f"price_{amount}", "unit_amount": amount}
    times = {"current_period_start": period * MONTH, "current_period_end": (period + 1) * MONTH}
    return {"id": "base", "price": price, "quantity": quantity} | times


def metered(period: int = 0) -> Json:
    times = {"current_period_start": period * MONTH, "current_period_end": (period + 1) * MONTH}
    return {"id": "used", "price": CALLS} | times


def live(*states: tuple[int, Json]) -> list[Step]:
    """Return the steps of a subscription, which the gateway begins and makes in one second."""
    steps: list[Step] = []
    for at, after in states:
        steps.append(Step(steps[-1].after if steps else None, after, at, at, at))
    return steps


def test_half_cents_go_down() -> None:
    assert [round_cents(Fraction(each)) for each in ("-2.5", "4.5", "4.6")] == [-3, 4, 5]


def test_a_plan_costs_its_time() -> None:
    life = live(
        (0, subscription(plan(0))), (MONTH // 3, subscription(plan(1000))), (MONTH, subscription(plan(1000, 1)))
    )
    assert sum_plans(life, returns_unused=False) == 667 + 1000


def test_unused_time_is_given_back_once() -> None:
    life = live(
        (0, subscription(plan(1000))),
        (MONTH // 2, subscription(plan(1000, quantity=3))),
        (MONTH // 2, subscription(plan(0))),
    )
    assert sum_plans(life, returns_unused=False) == 500


def test_a_trial_costs_nothing() -> None:
    trial = subscription(plan(1000), status="trialing")
    assert sum_plans(live((0, trial)), returns_unused=False) == 0
    life = live((0, trial), (MONTH, subscription(plan(1000, 1))))
    assert sum_plans(life, returns_unused=False) == 1000


def test_usage_is_billed_by_its_window() -> None:
    life: Any = live(
        (0, subscription(plan(0))),
        (100, subscription(plan(1000), metered())),
        (MONTH, subscription(plan(1000, 1), metered(1))),
        (MONTH + 50, subscription(plan(0, 1))),
    )
    windows = find_windows(life, lambda at: at, bills_end=False)
    used = [Used("calls", 10, at) for at in (99, 101, MONTH - 1, MONTH, MONTH + 49, MONTH + 51)]
    assert [bound_cost(each, [], "sum", used) for each in windows] == [(10, 10), (10, 10)]


def test_usage_that_is_reported_after_the_end_may_be_free() -> None:
    life: Any = live((0, subscription(plan(1000), metered())), (MONTH, subscription(status="canceled")))
    [window] = find_windows(life, lambda at: at, bills_end=True)
    used = [Used("calls", 10, 50, told_at=60), Used("calls", 10, 50, told_at=MONTH + 60)]
    assert bound_cost(window, [], "sum", used) == (5, 10)


def test_a_last_value_is_priced_by_its_tiers() -> None:
    tiers: list[Json] = [{"up_to": 10, "unit_amount_decimal": None}, {"up_to": None, "unit_amount_decimal": "500"}]
    window = Window(CALLS, 0, 0, 100, 100)
    used = [Used("services", 30, 10), Used("services", 12, 20), Used("services", 11, 100)]
    assert bound_cost(window, tiers, "last", used) == (500, 1000)
