"""The probe measures a plan change that only webhooks bring, and reports it when they do not."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.errors import InvalidRequest
from gateway.sandbox import Sandbox
from gateway.services.operations.probe_results import check_probe
from gateway.services.probe import ORGANIZATION, run_probe
from tests.support.metrics import scrape
from tests.support.reconciliation import drop_webhooks
from tests.support.world import World

SOON = timedelta(seconds=0.3)


@contextmanager
def working(world: World) -> Iterator[None]:
    """Let a worker drain the inbox while the block runs."""
    ended = threading.Event()

    def work() -> None:
        while not ended.wait(0.05):
            world.work()

    thread = threading.Thread(target=work)
    thread.start()
    yield
    ended.set()
    thread.join()


def test_probe_is_merged_from_webhooks_alone_and_measured(world: World) -> None:
    assert check_probe(world.gateway).ok
    with working(world):
        results = list(run_probe(world.gateway))
    assert [(each.name, each.problem) for each in results] == [("probe_upgrade", None), ("probe_downgrade", None)]
    assert world.plan_row(ORGANIZATION).requested_plan == "free"
    metrics = scrape(world.gateway)
    assert 0 < metrics['gateway_probe_seconds{step="upgrade"}'] < 30
    assert metrics['gateway_probe_problem{step="downgrade"}'] == 0
    assert "downgrade merged from webhooks alone after " in check_probe(world.gateway).text


def test_probe_without_webhooks_is_a_problem(world: World, sandbox: Sandbox) -> None:
    with working(world):
        list(run_probe(world.gateway))
    drop_webhooks(world, sandbox)
    assert {each.problem for each in run_probe(world.gateway, patience=SOON)} == {
        "Stripe's webhook did not arrive within 0 seconds"
    }
    assert scrape(world.gateway)['gateway_probe_problem{step="upgrade"}'] == 1
    assert not check_probe(world.gateway).ok


def test_probe_buys_no_archived_plan(world: World) -> None:
    plans = tuple(replace(each, archived=each.key == "plus") for each in world.gateway.catalog.plans)
    archived = replace(world.gateway, catalog=replace(world.gateway.catalog, plans=plans))
    with pytest.raises(InvalidRequest, match="sells no plan"):
        list(run_probe(archived))


def test_probe_refuses_a_live_key(world: World) -> None:
    live = replace(
        world.gateway.config, stripe_secret_key="sk_live_1", jwt_development_secret=None, jwks_url="https://x"
    )
    with pytest.raises(InvalidRequest, match="needs a test key"):
        next(run_probe(replace(world.gateway, config=live)))
