"""The worker's Procrastinate application. Its tasks call services and do nothing else.

Procrastinate must never retry a job that has a ``queueing_lock``. While the job runs, another one may be queued under
the same lock. The retry would then fail, because only one job may wait under a lock. The drain needs no retry, because
it runs each minute anyway. The refresh queues its own successor. Without the database neither can go on, so they wait
(``wait_out_outages``).
"""

from collections.abc import Callable, Mapping
from functools import wraps
from threading import Event
from types import MappingProxyType
from typing import ParamSpec

import structlog
from procrastinate import App, RetryStrategy

from gateway.db import jobs
from gateway.db.queue import QueueConnector
from gateway.errors import DatabaseUnavailable
from gateway.periodic_tasks import add_notifications, add_upkeep, add_walks
from gateway.services.customers import existing, first_method, surplus
from gateway.services.customers.default_method import DEFAULT_CHOICE
from gateway.services.customers.method_removal import REMOVAL
from gateway.services.intents.completion import Operation, finish_intent
from gateway.services.intents.reservation import Kind
from gateway.services.invoices.payment import PAYMENT
from gateway.services.levels.follow import follow_levels
from gateway.services.mirror import refresh
from gateway.services.operations.price_migration import PRICE_MOVE
from gateway.services.plan_changes import charge_check, execute, unbilled_usage, unpaid_credits
from gateway.services.plan_changes.longer_trial import EXTENSION
from gateway.services.plan_changes.payment import ABANDONMENT
from gateway.services.plan_changes.return_to_floor import RETURN, return_to_floor
from gateway.services.runtime import Gateway
from gateway.services.spend_alerts.check import check_spend
from gateway.services.usage import error_reports, recount, report_to_stripe
from gateway.services.webhooks.drain_loop import DrainLoop
from gateway.stripe_api.times import from_unix
from gateway.supervision import Supervision
from handlers import HANDLERS

UNTIL_GIVEN_UP = RetryStrategy(wait=15)  # the change or the intent itself decides when to give up
STRIPE_AWAY = RetryStrategy(max_attempts=12, exponential_wait=2)  # retries for an hour or two, then the job has failed
# Retries for a day. If the job fails, time that was never paid stays credited, or usage unbilled.
UNTIL_STRIPE_ANSWERS = RetryStrategy(max_attempts=50, linear_wait=60)
OUTAGE_PAUSE = 1  # second before a job tries the database again

OPERATIONS: Mapping[Kind, Operation] = MappingProxyType(
    {
        Kind.SET_DEFAULT_PAYMENT_METHOD: DEFAULT_CHOICE,
        Kind.DELETE_PAYMENT_METHOD: REMOVAL,
        Kind.PAY_INVOICE: PAYMENT,
        Kind.ABANDON_CHANGE: ABANDONMENT,
        Kind.MOVE_PRICES: PRICE_MOVE,
        Kind.RETURN_TO_FLOOR: RETURN,
        Kind.EXTEND_TRIAL: EXTENSION,
    }
)

P = ParamSpec("P")

log = structlog.get_logger()


def build_worker(gateway: Gateway, supervised: Supervision | None = None, linger: float = 0) -> App:
    """Return the Procrastinate application of one worker process.

    A drain waits ``linger`` seconds for further events before it ends.
    """
    supervised = supervised or Supervision()
    stopping = supervised.stopping
    draining = DrainLoop(gateway, HANDLERS, supervised, linger)
    drain = wait_out_outages(supervised.ending)(draining.run)
    app = App(connector=QueueConnector(gateway.config.database_url, supervised))

    # Runs each minute in addition to the wake-ups. Otherwise an event whose wake-up was lost would wait forever.
    @app.periodic(cron="* * * * *")
    @app.task(name=jobs.DRAIN_INBOX, queueing_lock=jobs.DRAIN_INBOX, priority=jobs.PRIORITIES[jobs.DRAIN_INBOX])
    def drain_inbox(timestamp: int | None = None) -> None:  # noqa: ARG001 - Procrastinate passes it to a periodic task
        drain()

    @app.task(name=jobs.REFRESH)
    @wait_out_outages(stopping)
    def refresh_object(kind: str, stripe_id: str, attempt: int = 1) -> None:
        refresh.run_refresh_job(gateway, kind, stripe_id, attempt)

    @app.task(name=jobs.LOOK_UP)
    @wait_out_outages(stopping)
    def look_up(kind: str, stripe_id: str, changed_at: int) -> None:
        refresh.defer_refresh_if_outdated(gateway, kind, stripe_id, from_unix(changed_at))

    @app.task(name=jobs.FINISH_CHANGE, retry=UNTIL_GIVEN_UP)
    def finish_change(change_id: str) -> None:
        execute.finish_change(gateway, change_id)

    @app.task(name=jobs.FINISH_INTENT, retry=UNTIL_GIVEN_UP)
    def finish_billing_intent(intent_id: str) -> None:
        finish_intent(gateway, OPERATIONS, intent_id)

    @app.task(name=jobs.CHECK_CHARGE, retry=STRIPE_AWAY)
    def check_charge(change_id: str) -> None:
        charge_check.check_charge(gateway, change_id)

    @app.task(name=jobs.WITHDRAW_CREDITS, retry=UNTIL_STRIPE_ANSWERS)
    def withdraw_credits(change_id: str) -> None:
        unpaid_credits.finish_withdrawal(gateway, change_id)

    @app.task(name=jobs.WITHDRAW_FOREIGN_CREDITS, retry=UNTIL_STRIPE_ANSWERS)
    def withdraw_foreign_credits(organization_id: str) -> None:
        unpaid_credits.withdraw_for_organization(gateway, organization_id)

    add_customer_tasks(app, gateway)
    add_trial_tasks(app, gateway)
    add_usage_tasks(app, gateway, supervised.ending)
    add_walks(app, gateway, supervised.ending)
    add_notifications(app, gateway, supervised.ending)
    add_upkeep(app, gateway)
    return app


def wait_out_outages(stopping: Event) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """Make a job wait for the database instead of failing, because no other job would redo its work.

    The waiting thread delays nothing, because without the database there are no other jobs. A worker that is stopped
    while a job waits cannot record the failure. Another worker then retries the job like that of a killed worker.
    """

    def decorate(job: Callable[P, None]) -> Callable[P, None]:
        @wraps(job)
        def patient_job(*args: P.args, **kwargs: P.kwargs) -> None:
            while True:
                try:
                    return job(*args, **kwargs)
                except DatabaseUnavailable:
                    log.warning("job_without_database", exc_info=True)
                    if stopping.wait(OUTAGE_PAUSE):
                        raise

        return patient_job

    return decorate


def add_customer_tasks(app: App, gateway: Gateway) -> None:
    """Add the tasks that adopt customers of other programs, and that detach surplus payment methods."""

    @app.task(name=jobs.FIND_CUSTOMER, retry=UNTIL_STRIPE_ANSWERS)
    def find_customer(organization_id: str) -> None:
        existing.search_for_organization(gateway, organization_id)

    @app.task(name=jobs.DETACH_SURPLUS, retry=STRIPE_AWAY)
    def detach_surplus(payment_method_id: str) -> None:
        surplus.detach_surplus(gateway, payment_method_id)

    @app.task(name=jobs.FILL_MIRROR, retry=UNTIL_STRIPE_ANSWERS)
    def fill_mirror(customer_id: str) -> None:
        existing.fill_mirror(gateway, customer_id)


def add_trial_tasks(app: App, gateway: Gateway) -> None:
    """Add the tasks that follow the start of a trial, and its end without a payment method."""

    @app.task(name=jobs.CHOOSE_FIRST_METHOD, retry=UNTIL_STRIPE_ANSWERS)
    def choose_first_method(organization_id: str) -> None:
        first_method.choose_first_method(gateway, organization_id)

    @app.task(name=jobs.RETURN_TO_FLOOR, retry=UNTIL_STRIPE_ANSWERS)
    def return_from_trial(organization_id: str) -> None:
        return_to_floor(gateway, organization_id)


def add_usage_tasks(app: App, gateway: Gateway, ending: Event) -> None:
    """Add the tasks that send and bill usage, note later refusals, follow levels, and check spend alerts."""

    # If a run lasts longer than a minute, the next one runs beside it and takes other reports.
    @app.periodic(cron="* * * * *")
    @app.task(name=jobs.SEND_USAGE, queueing_lock=jobs.SEND_USAGE, priority=jobs.PRIORITIES[jobs.SEND_USAGE])
    def send_usage(timestamp: int | None = None) -> None:  # noqa: ARG001 - Procrastinate passes it to a periodic task
        report_to_stripe.send_due_reports(gateway, ending)

    @app.task(name=jobs.BILL_USAGE, retry=UNTIL_STRIPE_ANSWERS)
    def bill_usage(change_id: str) -> None:
        unbilled_usage.bill_unbilled_usage(gateway, change_id)

    @app.task(name=jobs.RECOUNT_USAGE, retry=UNTIL_STRIPE_ANSWERS)
    def recount_usage(organization_id: str, version: int) -> None:
        recount.recount_usage(gateway, organization_id, version)

    @app.task(name=jobs.NOTE_REFUSED_USAGE, retry=UNTIL_STRIPE_ANSWERS)
    def note_refused_usage(event_id: str) -> None:
        error_reports.note_refused_usage(gateway, event_id)

    @app.periodic(cron="* * * * *")
    @app.task(name=jobs.FOLLOW_LEVELS, queueing_lock=jobs.FOLLOW_LEVELS)
    def follow_all_levels(timestamp: int | None = None) -> None:  # noqa: ARG001 - Procrastinate passes it to a periodic task
        follow_levels(gateway, ending)

    @app.periodic(cron="* * * * *")
    @app.task(name=jobs.CHECK_SPEND, queueing_lock=jobs.CHECK_SPEND)
    def check_all_spend(timestamp: int | None = None) -> None:  # noqa: ARG001 - Procrastinate passes it to a periodic task
        check_spend(gateway, ending)
