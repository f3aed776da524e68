"""Organizations live for months. Each invoice, each notification and all usage are as calculated independently."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text

from gateway.config import Config
from gateway.sandbox import Sandbox
from gateway.services.reconciliation import drift
from tests.support.catalogs import STORY
from tests.support.clock import ManualClock
from tests.support.notified import NotifiedSystem, write_receivers
from tests.support.story import Story
from tests.support.story_outcome import Outcome, put_in_order
from tests.support.story_scripts import write_scripts
from tests.support.world import World

# The first periods begin on the last days of a month, and the story spans 29 February.
BEGINS = datetime(2032, 1, 28, 12, tzinfo=UTC)
UNFINISHED = text("""
    SELECT (SELECT count(*) FROM procrastinate_jobs WHERE status = 'failed')
        + (SELECT count(*) FROM webhook_events WHERE state NOT IN ('done', 'ignored'))
        + (SELECT count(*) FROM plan_changes WHERE state <> 'applied')
        + (SELECT count(*) FROM notifications WHERE delivered_at IS NULL)
""")


@pytest.fixture
def stripe_time() -> ManualClock:
    return ManualClock(BEGINS.timestamp())


@pytest.fixture
def sandbox(stripe_time: ManualClock) -> Iterator[Sandbox]:
    with Sandbox(clock=stripe_time, signing_clock=stripe_time, retry_delays=(0.05, 0.2, 0.5)) as running:
        yield running


@pytest.fixture
def gateway_clock(stripe_time: ManualClock) -> Callable[[], datetime]:
    return lambda: datetime.fromtimestamp(stripe_time(), UTC)


@pytest.fixture
def catalog_file() -> Path:
    return STORY


@pytest.fixture
def config(config: Config, konnect: NotifiedSystem, tmp_path: Path) -> Config:
    return replace(config, receivers=write_receivers(tmp_path / "receivers.toml", konnect=konnect.url))


@pytest.mark.parametrize(
    ("organizations", "days"), [pytest.param(3, 68), pytest.param(20, 427, marks=pytest.mark.long)]
)
def test_months_are_billed_and_told_as_calculated(
    world: World, stripe_time: ManualClock, konnect: NotifiedSystem, organizations: int, days: int
) -> None:
    story = Story.of(world, stripe_time, write_scripts(organizations, days=days))
    story.run(days)
    outcome = Outcome(world, konnect, int(BEGINS.timestamp()))
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
