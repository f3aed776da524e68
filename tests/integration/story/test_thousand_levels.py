"""A month with a thousand levels is billed as if only the coalesced ones had been reported."""

from random import Random
from threading import Event

import pytest

from gateway.services.levels.follow import follow_levels
from tests.support.clock import DAY, ManualClock
from tests.support.notified import NotifiedSystem
from tests.support.story import HOUR, MINUTE, Story
from tests.support.story_outcome import Outcome
from tests.support.story_scripts import GOOD, Script
from tests.support.world import World

SCRIPT = Script(organization_id="org_1", begins=0, currency="usd", country="DE", acts=())
REPORTS = 1000
STRIPES_LIMIT = 250  # pending items on an invoice


@pytest.mark.long
def test_coalesced_levels_are_billed_to_the_cent(
    world: World, stripe_time: ManualClock, konnect: NotifiedSystem
) -> None:
    story = Story.of(world, stripe_time, [SCRIPT])
    [life] = story.lives
    life.enrol()
    story.work()
    life.add_card(GOOD)
    life.change(plan="plus")
    end, followed_at, random = life.expected.base.end, 0, Random(16)  # noqa: S311 - not a secret
    for number in range(REPORTS + 1):
        world.await_deliveries()  # before the clock moves, because the gateway refuses old signatures
        is_last = number == REPORTS  # shortly before the period ends
        story.move(end - 5 * MINUTE if is_last else story.begins + HOUR + number * 30 * DAY // REPORTS)
        life.report_level(random.randint(1, 9))
        follow_levels(world.gateway, Event())
        if life.level != life.expected.quantity and (is_last or life.now - followed_at >= 8 * HOUR):
            life.follow_level()
            followed_at = life.now
        assert world.plan_row().quantity == life.expected.quantity
    world.await_deliveries()
    story.move(end + 2 * HOUR)
    story.work()
    invoices = Outcome(world, konnect, story.begins).read_invoices("org_1")
    assert invoices == [each.shown() for each in life.expected.invoices]
    assert 2 * 75 < len(invoices[-1][1]) < STRIPES_LIMIT
