"""Any two operations on one organization's billing, at the same moment, leave it in a state that Stripe agrees with."""

from collections.abc import Callable
from typing import get_args

import pytest

from gateway.catalog import Charge
from tests.support.operation_pairs import OPERATIONS, Pairs
from tests.support.plans import charge_plus
from tests.support.world import World

TRIES, MANY_TRIES = 1, 40
LATER = "on_billing_date"
SEED = 13
COMBINATIONS = [  # only a change that is charged now can wait for its payment and be abandoned
    (charge, first) for charge in get_args(Charge) for first in OPERATIONS if (charge, first) != (LATER, "abandon")
]

ChargeFor = Callable[[Charge], World]


@pytest.fixture
def charging(world: World) -> ChargeFor:
    """Return a function that makes the deployment charge Plus on the billing date or now."""

    def charge(when: Charge) -> World:
        charge_plus(world, when)
        return world

    return charge


def run_pairs(world: World, first: str, tries: int) -> None:
    """Run ``first`` with itself and with each operation after it. Check all organizations at the end."""
    pairs = Pairs(world, SEED)
    for second in OPERATIONS[OPERATIONS.index(first) :]:
        for _ in range(tries):
            pairs.run(first, second)
    pairs.check()


@pytest.mark.parametrize("first", OPERATIONS)
def test_pair_of_operations_ends_as_stripe_has_it(charging: ChargeFor, first: str) -> None:
    run_pairs(charging("now" if first == "abandon" else "on_billing_date"), first, TRIES)


@pytest.mark.long
@pytest.mark.parametrize(("charge", "first"), COMBINATIONS)
def test_many_pairs_of_operations_end_as_stripe_has_it(charging: ChargeFor, charge: Charge, first: str) -> None:
    run_pairs(charging(charge), first, MANY_TRIES)


def test_card_removal_and_upgrade_exclude_each_other(charging: ChargeFor) -> None:
    pairs = Pairs(charging("on_billing_date"), SEED)
    for _ in range(10):
        pairs.run("delete_card", "upgrade")
    pairs.check()
