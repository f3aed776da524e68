"""Refresh jobs end even if their worker dies or Stripe is unreachable."""

from dataclasses import replace

from procrastinate.jobs import Status

from gateway.app import build_gateway
from gateway.db import jobs
from gateway.db.models import Subscription
from gateway.services.mirror.refresh import run_refresh_job
from gateway.services.mirror.refresh_jobs import defer_refresh
from gateway.tasks import build_worker
from tests.support.jobs import job_states, set_job_state
from tests.support.world import NOWHERE, World


def test_killed_workers_refresh_does_not_block_the_next_one(world: World) -> None:
    world.api().ok("POST", "/subscription", plan="free")
    world.settle()
    subscription = world.rows(Subscription)[0]
    world.stripe.v1.subscriptions.cancel(subscription.id)  # its webhook is not processed
    with world.gateway.database.transaction() as session:
        defer_refresh(session, "subscription", subscription.id)
    set_job_state(world, jobs.REFRESH, Status.DOING)
    with world.gateway.database.transaction() as session:
        defer_refresh(session, "subscription", subscription.id)
    assert job_states(world, jobs.REFRESH) == ["doing", "todo"]

    worker = build_worker(world.gateway)
    with worker.open():
        worker.configure_task("gateway.retry_stalled_jobs").defer(timestamp=0)
    world.work()
    world.work()
    assert job_states(world, jobs.REFRESH) == ["succeeded"]
    assert world.plan_row().status == "canceled"


def test_refresh_without_stripe_enqueues_its_successor(world: World) -> None:
    world.api().ok("POST", "/subscription", plan="free")
    world.settle()
    broken = build_gateway(replace(world.gateway.config, stripe_api_base=NOWHERE))
    run_refresh_job(broken, "subscription", world.rows(Subscription)[0].id, 1)
    broken.database.close()
    assert job_states(world, jobs.REFRESH) == ["todo"]
