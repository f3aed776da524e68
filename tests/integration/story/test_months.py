"""Organizations live for months. Each invoice, each notification and all usage are as calculated independently."""

import pytest
from sqlalchemy import text

from gateway.services.reconciliation import drift
from tests.support.clock import ManualClock
from tests.support.notified import NotifiedSystem
from tests.support.story import Story
from tests.support.story_outcome import Outcome, put_in_order
from tests.support.story_scripts import write_scripts
from tests.support.world import World

UNFINISHED = text("""
    SELECT (SELECT count(*) FROM procrastinate_jobs WHERE status = 'failed')
        + (SELECT count(*) FROM webhook_events WHERE state NOT IN ('done', 'ignored'))
        + (SELECT count(*) FROM plan_changes WHERE state <> 'applied')
        + (SELECT count(*) FROM notifications WHERE delivered_at IS NULL)
""")


@pytest.mark.parametrize(
    ("organizations", "days"), [pytest.param(3, 68), pytest.param(20, 427, marks=pytest.mark.long)]
)
def test_months_are_billed_and_told_as_calculated(
    world: World, stripe_time: ManualClock, konnect: NotifiedSystem, organizations: int, days: int
) -> None:
    story = Story.of(world, stripe_time, write_scripts(organizations, days=days))
    story.run(days)
    outcome = Outcome(world, konnect, story.begins)
    for life in story.lives:
        organization, expected = life.script.organization_id, life.expected
        assert outcome.read_invoices(organization) == [each.shown() for each in expected.invoices]
        assert put_in_order(outcome.read_facts(organization)) == put_in_order(expected.facts)
        assert outcome.count_sent(organization) == life.sent
        assert outcome.count_billed(organization) == life.owed
        row = world.plan_row(organization)
        assert (row.plan, row.quantity) == (expected.plan, expected.quantity)
    assert world.gateway.database.fetch(UNFINISHED, {}) == [(0,)]
    stripe_time.now += 60
    assert [difference for page in drift.walk(world.gateway) for difference in page.differences] == []
