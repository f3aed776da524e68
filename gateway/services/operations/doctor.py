"""Is everything as it must be? One finding a line, in plain words, each from the real thing."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import select

from gateway.db.migrate import is_migrated
from gateway.db.models import Price
from gateway.db.queries import among
from gateway.errors import DatabaseUnavailable, StripeRejected, StripeUnavailable
from gateway.services.operations.catalog_sync import matches_catalog
from gateway.services.operations.status import Status, load_status
from gateway.services.runtime import Gateway
from gateway.services.subscription.billing_state import PRICES
from gateway.services.webhooks.endpoint_check import PATH, find_problem
from gateway.stripe_api.client import stripe_call
from gateway.stripe_api.snapshots.base import answered_at

MAX_SKEW = timedelta(minutes=1)  # signatures are good for five
MAX_LAG = timedelta(minutes=1)  # the drain runs each minute even if every wake-up is lost


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    ok: bool
    text: str


def run_checks(gateway: Gateway, types: Iterable[str]) -> Iterator[Finding]:
    """Look at everything, as far as what it rests on is there. ``types``: the event types that are handled."""
    yield from check_settings(gateway)
    migrated = check_database(gateway)
    yield migrated
    if migrated.ok:
        yield from check_stripe(gateway, types)  # each call is counted in the database
        yield check_catalog(gateway)
        yield from check_work(load_status(gateway))


def check_settings(gateway: Gateway) -> Iterator[Finding]:
    """Those that are not needed by every command."""
    mode = "live" if gateway.config.livemode else "test"
    secrets = len(gateway.config.stripe_webhook_secrets)
    yield Finding(ok=True, text=f"settings: {mode} mode")
    if not secrets:
        yield Finding(ok=False, text="settings: STRIPE_WEBHOOK_SECRETS is not set: `gateway serve` will not start")


def check_database(gateway: Gateway) -> Finding:
    """Whether it is there, and up to date."""
    try:
        if is_migrated(gateway.database):
            return Finding(ok=True, text="database: reachable and migrated")
        return Finding(ok=False, text="database: not migrated: run `gateway migrate`")
    except DatabaseUnavailable as error:
        return Finding(ok=False, text=f"database: {error.detail} ({error.__cause__})".partition("\n")[0])


def check_stripe(gateway: Gateway, types: Iterable[str]) -> Iterator[Finding]:
    """Whether Stripe takes the key, and what else it says."""
    try:
        with stripe_call():
            answer = gateway.stripe.v1.products.list({"limit": 1})
    except (StripeRejected, StripeUnavailable) as error:
        yield Finding(ok=False, text=f"Stripe: {error.detail} ({type(error.__cause__).__name__})")
        return
    yield Finding(ok=True, text="Stripe: the key works")
    yield check_clock(gateway.clock() - answered_at(answer))
    yield check_webhook_endpoint(gateway, types)


def check_clock(skew: timedelta) -> Finding:
    """Whether this machine's clock and Stripe's agree: signatures and quotes are bound to times."""
    if abs(skew) <= MAX_SKEW:
        return Finding(ok=True, text="clock: agrees with Stripe's")
    words = f"{abs(skew).total_seconds():.0f} seconds {'ahead of' if skew > timedelta(0) else 'behind'} Stripe's"
    return Finding(ok=False, text=f"clock: {words}: deliveries will be refused")


def check_webhook_endpoint(gateway: Gateway, types: Iterable[str]) -> Finding:
    """Whether Stripe sends what is handled, here, in the version that is read."""
    if gateway.config.public_url is None:
        return Finding(ok=True, text="webhook endpoint: not looked at, since GATEWAY_PUBLIC_URL is not set")
    try:
        problem = find_problem(gateway, gateway.config.public_url, types)
    except StripeUnavailable as error:
        problem = error.detail
    good = f"enabled for {gateway.config.public_url.rstrip('/')}{PATH}, with every type"
    return Finding(ok=problem is None, text=f"webhook endpoint: {problem or good}")


def check_catalog(gateway: Gateway) -> Finding:
    """Whether Stripe sells what catalog.toml says, as far as is known here."""
    with gateway.database.transaction() as session:
        sold = session.scalar(select(PRICES)) or {}
        prices = {price.id: price for price in session.scalars(select(Price).where(among(Price.id, sold.values())))}
    listed = {plan.key: plan.price for plan in gateway.catalog.plans if plan.price is not None}
    found = {key: prices.get(sold.get(price.lookup_key, "")) for key, price in listed.items()}
    wrong = [key for key, price in found.items() if price is None or not matches_catalog(price, listed[key])]
    if wrong:
        text = f"catalogue: {', '.join(wrong)}: another price at Stripe, or none: run `gateway catalog sync`"
        return Finding(ok=False, text=text)
    return Finding(ok=True, text="catalogue: synced")


def check_work(now: Status) -> Iterator[Finding]:
    """Whether somebody works off what comes, and what was given up."""
    workers = "no worker gives signs of life: start `gateway worker`"
    yield Finding(ok=now.workers > 0, text=f"workers: {now.workers or workers}")
    waiting = f"{now.events['pending']} events pending, {now.events['failed']} to be tried again"
    late = f"the longest waiting has been due for {now.lag.total_seconds():.0f} seconds"
    yield Finding(ok=now.lag <= MAX_LAG, text=f"inbox: {waiting}" + (f"; {late}" if now.lag > MAX_LAG else ""))
    dead = now.events["dead"]
    advice = ": see `gateway events list --state dead`" if dead else ""
    yield Finding(ok=dead == 0, text=f"inbox: {dead} dead events{advice}")
    failed = {task: number for (task, state), number in now.jobs.items() if state == "failed"}
    names = ": " + ", ".join(f"{task} ({number})" for task, number in sorted(failed.items())) if failed else ""
    yield Finding(ok=not failed, text=f"jobs: {sum(failed.values())} failed{names}")
    yield Finding(ok=now.stalled_jobs == 0, text=f"jobs: {now.stalled_jobs} stalled")
