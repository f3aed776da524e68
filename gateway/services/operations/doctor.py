"""Check the whole installation. Each check asks the real system and yields one line in plain words."""

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta

from sqlalchemy import select

from gateway.db.models import Price
from gateway.db.pooler import find_pooler_problem
from gateway.db.queries import among
from gateway.db.revision import is_migrated
from gateway.db.session import is_locked
from gateway.errors import DatabaseUnavailable, StripeRejected, StripeUnavailable
from gateway.services.notifications.records import ReceiverReport
from gateway.services.operations.catalog_check import find_price_problem
from gateway.services.operations.durability import check_durability
from gateway.services.operations.findings import Finding
from gateway.services.operations.locked import LOCKED_TABLES, Locked
from gateway.services.operations.modes import find_mode_problem
from gateway.services.operations.price_terms import matches_catalog
from gateway.services.operations.probe_results import check_probe
from gateway.services.operations.reachability import check_key_server, explain_stripe
from gateway.services.operations.status import Status, load_status, measure_free_disk
from gateway.services.runtime import Gateway
from gateway.services.subscription.billing_rows import PRICES
from gateway.services.webhooks.endpoint_check import WEBHOOK_PATH, find_endpoint_problem
from gateway.services.webhooks.refusals import find_signature_problem
from gateway.stripe_api.client import stripe_call
from gateway.stripe_api.snapshots.base import answered_at

MAX_SKEW = timedelta(minutes=1)  # a signature is valid for five
MAX_FACTOR = 10  # one organization then has as many calls to Stripe as our whole budget
MAX_LAG = timedelta(minutes=1)  # the drain runs every minute, even if every wake-up is lost
MAX_JOB_LAG = timedelta(minutes=5)
MAX_PERIODIC_AGE = timedelta(minutes=3)  # one of them starts every minute
LEAST_FREE = 0.05


def run_checks(gateway: Gateway, types: Iterable[str]) -> Iterator[Finding]:
    """Run all checks whose preconditions hold. ``types`` names the event types that have a handler."""
    yield from check_settings(gateway)
    yield check_key_server(gateway.config)
    yield check_disk()
    migrated = check_database(gateway)
    yield migrated
    if migrated.ok:
        try:
            yield from check_contents(gateway, types)
        except DatabaseUnavailable as error:
            yield describe_outage(error)
            if is_locked(error.__cause__):
                yield from check_tables(gateway)


def check_contents(gateway: Gateway, types: Iterable[str]) -> Iterator[Finding]:
    """Run the checks that read the database. Raise DatabaseUnavailable."""
    yield check_durability(gateway.database)
    yield from check_stripe(gateway, types)  # needs the database, which counts each call
    yield check_catalog(gateway)
    yield check_signatures(gateway)
    yield check_modes(gateway)
    yield check_probe(gateway)
    yield from check_work(load_status(gateway))


def check_settings(gateway: Gateway) -> Iterator[Finding]:
    """Check the settings that not every command needs."""
    secrets = len(gateway.config.stripe_webhook_secrets)
    yield Finding(ok=True, text=f"settings: {gateway.config.mode} mode")
    if not secrets:
        text = "settings: STRIPE_WEBHOOK_SECRETS is not set. Set it to the endpoint's secret, or `gateway serve` ends."
        yield Finding(ok=False, text=text)
    factor = gateway.config.rate_limit_factor
    risk = ", so one organization can use up Stripe's rate limit for all. Lower GATEWAY_RATE_LIMIT_FACTOR."
    advice = "" if factor <= MAX_FACTOR else risk
    yield Finding(ok=factor <= MAX_FACTOR, text=f"limits: {factor} times the shipped numbers{advice}")


def check_database(gateway: Gateway) -> Finding:
    """Check that the database answers, has the current schema, and is not behind a pooler that breaks sessions."""
    try:
        if (problem := find_pooler_problem(gateway.database)) is not None:
            return Finding(ok=False, text=f"database: {problem}")
        if is_migrated(gateway.database):
            return Finding(ok=True, text="database: reachable and migrated")
        return Finding(ok=False, text="database: not migrated. Run `gateway migrate`.")
    except DatabaseUnavailable as error:
        return describe_outage(error)


def describe_outage(error: DatabaseUnavailable) -> Finding:
    """Return the reason why the database could not be read."""
    first, _, _ = str(error.__cause__).partition("\n")
    reason = f"{error.detail} ({first})"
    return Finding(ok=False, text=f"database: {reason}. Check that it runs and takes writes, and GATEWAY_DATABASE_URL.")


def check_tables(gateway: Gateway) -> Iterator[Finding]:
    """Name the sessions that keep a whole table locked."""
    with gateway.database.reading() as session:
        for table, pid in session.execute(LOCKED_TABLES):
            text = f"locks: {table} is locked by session {pid} of PostgreSQL. End that session's transaction."
            yield Finding(ok=False, text=text)


def check_stripe(gateway: Gateway, types: Iterable[str]) -> Iterator[Finding]:
    """Check the key, the clock, the prices and the webhook endpoint with Stripe."""
    try:
        with stripe_call():
            answer = gateway.stripe.v1.products.list({"limit": 1})
    except (StripeRejected, StripeUnavailable) as error:
        yield Finding(ok=False, text=f"Stripe: {explain_stripe(error)}")
        return
    yield Finding(ok=True, text="Stripe: the key works")
    yield check_clock(gateway.clock() - answered_at(answer))
    yield check_webhook_endpoint(gateway, types)
    yield check_prices_at_stripe(gateway)


def check_clock(skew: timedelta) -> Finding:
    """Check that the database's clock agrees with Stripe's. Signatures and quotes depend on the time."""
    if abs(skew) <= MAX_SKEW:
        return Finding(ok=True, text="clock: agrees with Stripe's")
    words = f"{abs(skew).total_seconds():.0f} seconds {'ahead of' if skew > timedelta(0) else 'behind'} Stripe's"
    return Finding(ok=False, text=f"clock: {words}, so webhooks are refused. Run NTP on the database's machine.")


def check_webhook_endpoint(gateway: Gateway, types: Iterable[str]) -> Finding:
    """Check that Stripe sends the handled event types to this gateway, in the API version that it reads."""
    if gateway.config.public_url is None:
        return Finding(ok=True, text="webhook endpoint: not checked, because GATEWAY_PUBLIC_URL is not set")
    try:
        problem = find_endpoint_problem(gateway, gateway.config.public_url, types)
    except StripeUnavailable as error:
        problem = explain_stripe(error)
    good = f"enabled for {gateway.config.public_url.rstrip('/')}{WEBHOOK_PATH}, with every handled type"
    return Finding(ok=problem is None, text=f"webhook endpoint: {problem or good}")


def check_prices_at_stripe(gateway: Gateway) -> Finding:
    """Check that Stripe's products and prices match ``catalog.toml``."""
    try:
        problem = find_price_problem(gateway)
    except StripeUnavailable as error:
        problem = explain_stripe(error)
    return Finding(ok=problem is None, text=f"prices: {problem or 'Stripe matches the catalogue'}")


def check_signatures(gateway: Gateway) -> Finding:
    """Check that deliveries are not refused for a wrong secret."""
    problem = find_signature_problem(gateway)
    return Finding(ok=problem is None, text=f"webhook signatures: {problem or 'accepted'}")


def check_modes(gateway: Gateway) -> Finding:
    """Check that the keys and the deliveries belong to one mode."""
    problem = find_mode_problem(gateway)
    good = f"keys and events are of {gateway.config.mode} mode"
    return Finding(ok=problem is None, text=f"modes: {problem or good}")


def check_disk() -> Finding:
    """Check that there is space for temporary files, which hold the counts of the web processes."""
    free = measure_free_disk()
    text = f"disk: {free:.0%} of {tempfile.gettempdir()} is free"
    advice = ". Free some space, or set TMPDIR to another disk." if free < LEAST_FREE else ""
    return Finding(ok=free >= LEAST_FREE, text=text + advice)


def check_catalog(gateway: Gateway) -> Finding:
    """Check that the mirror's prices match ``catalog.toml``."""
    with gateway.database.reading() as session:
        sold = {key: price["id"] for key, price in (session.scalar(select(PRICES)) or {}).items()}
        prices = {price.id: price for price in session.scalars(select(Price).where(among(Price.id, sold.values())))}
    listed = [
        (plan, each, prices.get(sold.get(each.lookup_key, "")))
        for plan in gateway.catalog.plans
        for each in plan.sold_prices
    ]
    wrong = dict.fromkeys(plan.key for plan, each, price in listed if price is None or not matches_catalog(price, each))
    if wrong:
        text = f"catalogue: {', '.join(wrong)}: another price at Stripe, or none. Run `gateway catalog sync`."
        return Finding(ok=False, text=text)
    return Finding(ok=True, text="catalogue: synced")


def check_work(now: Status) -> Iterator[Finding]:
    """Check that Stripe is called and that workers process events and jobs. Report those that were given up."""
    silent = "a circuit breaker is open, because Stripe did not answer a process. If it stays, see Stripe's status."
    yield Finding(
        ok=not now.breaker_open, text=f"Stripe: {silent if now.breaker_open else 'no circuit breaker is open'}"
    )
    no_worker = "no worker is alive. Start `gateway worker`."
    yield Finding(ok=now.workers > 0, text=f"workers: {now.workers or no_worker}")
    for each in now.wrong_clocks:
        yield Finding(ok=False, text=f"clocks: {each}. Run NTP on that machine.")
    if not now.wrong_clocks:
        yield Finding(ok=True, text="clocks: those of all workers agree with the database's")
    for each in now.lost_connections:
        yield Finding(ok=False, text=f"connections: {each}. Find out who ends the sessions of PostgreSQL.")
    if not now.lost_connections:
        yield Finding(ok=True, text="connections: no worker has lost its own within seconds")
    waiting = f"{now.events['pending']} events pending, {now.events['failed']} to be retried"
    late = f"the oldest has been due for {now.lag.total_seconds():.0f} seconds"
    late += ". Add a worker, or see why none merges."
    yield Finding(ok=now.lag <= MAX_LAG, text=f"inbox: {waiting}" + (f", {late}" if now.lag > MAX_LAG else ""))
    yield from check_locks(now.locked)
    dead = now.events["dead"]
    advice = ". See `gateway events list --state dead`." if dead else ""
    yield Finding(ok=dead == 0, text=f"inbox: {dead} dead events{advice}")
    failed = {task: number for (task, state), number in now.jobs.items() if state == "failed"}
    names = ", ".join(f"{task} ({number})" for task, number in sorted(failed.items()))
    advice = f": {names}. See `gateway jobs list`." if failed else ""
    yield Finding(ok=not failed, text=f"jobs: {sum(failed.values())} failed{advice}")
    advice = ". A live worker retries them within a minute. Start one if none is alive." if now.stalled_jobs else ""
    yield Finding(ok=now.stalled_jobs == 0, text=f"jobs: {now.stalled_jobs} stalled{advice}")
    yield from check_pace(now)
    yield from map(check_receiver, now.receivers)


def check_locks(locked: Sequence[Locked]) -> Iterator[Finding]:
    """Check that no events wait because another session keeps their organization locked."""
    for each in locked:
        yield Finding(ok=False, text=f"locks: {each.describe()}. End that session's transaction.")
    if not locked:
        yield Finding(ok=True, text="locks: no events wait for a lock")


def check_pace(now: Status) -> Iterator[Finding]:
    """Check that the workers keep up, and that they start the periodic jobs."""
    waits = f"jobs: the oldest has been due for {now.job_lag.total_seconds():.0f} seconds"
    late = now.job_lag > MAX_JOB_LAG
    yield Finding(ok=not late, text=waits + (". Add a worker, or raise its --concurrency." if late else ""))
    age = now.periodic_age
    stalled = age is not None and age > MAX_PERIODIC_AGE
    started = "not yet started" if age is None else f"last started {age.total_seconds():.0f} seconds ago"
    advice = ". Restart the workers, and compare their clocks." if stalled else ""
    yield Finding(ok=not stalled, text=f"periodic jobs: {started}{advice}")


def check_receiver(receiver: ReceiverReport) -> Finding:
    """Check that a receiver of notifications accepts them."""
    problem = None
    if not receiver.is_configured:
        problem = "It is not configured, so nothing sends them. Add it to the file of GATEWAY_RECEIVERS"
    elif receiver.state is not None and receiver.is_paused:
        since = f"{receiver.state.failing_since:%Y-%m-%d %H:%M}"
        problem = f"It has failed since {since} and is paused ({receiver.state.error}). Repair it"
    elif receiver.given_up:
        problem = "See `gateway notifications list --state given_up`"
    counts = f"receiver {receiver.name}: {receiver.waiting} notifications wait, {receiver.given_up} given up"
    return Finding(ok=problem is None, text=f"{counts}. {problem}." if problem else counts)
