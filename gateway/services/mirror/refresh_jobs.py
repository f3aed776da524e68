"""The jobs that retrieve an object from Stripe, as services enqueue them.

``mirror.refresh`` runs them: ``run_refresh_job`` and ``defer_refresh_if_outdated``.
"""

from datetime import datetime

from sqlalchemy.orm import Session

from gateway.db import jobs
from gateway.stripe_api.times import to_unix


def defer_refresh(session: Session, kind: str, stripe_id: str, *, at: datetime | None = None, attempt: int = 1) -> None:
    """Enqueue the retrieval of one object. The worker continues in ``refresh.run_refresh_job``."""
    jobs.defer_all(session, [refresh_job(kind, stripe_id, at=at, attempt=attempt)])


def refresh_job(kind: str, stripe_id: str, *, at: datetime | None = None, attempt: int = 1) -> jobs.Wanted:
    """Build the job that retrieves one object.

    The queueing lock folds many requests into one waiting job. The lock lets one refresh of an object run at a time.
    """
    key = refresh_lock(kind, stripe_id)
    arguments: dict[str, str | int] = {"kind": kind, "stripe_id": stripe_id, "attempt": attempt}
    return jobs.Wanted(key, jobs.REFRESH, arguments, lock=key, at=at)


def refresh_lock(kind: str, stripe_id: str) -> str:
    """Return the lock under which an object's refresh waits and runs."""
    return f"refresh:{kind}:{stripe_id}"


def fill_job(customer_id: str) -> jobs.Wanted:
    """Build the job that merges what a newly linked customer already has at Stripe.

    The worker continues in ``customers.existing.fill_mirror``.
    """
    return jobs.Wanted(f"fill_mirror:{customer_id}", jobs.FILL_MIRROR, {"customer_id": customer_id})


def surplus_job(payment_method_id: str) -> jobs.Wanted:
    """Build the job that detaches a payment method beyond the limit.

    The worker continues in ``customers.surplus.detach_surplus``.
    """
    arguments = {"payment_method_id": payment_method_id}
    return jobs.Wanted(f"detach_surplus:{payment_method_id}", jobs.DETACH_SURPLUS, arguments)


def lookup_job(kind: str, stripe_id: str, changed_at: datetime, *, at: datetime) -> jobs.Wanted:
    """Build the job that refreshes an object only if the mirror still has no state as new as ``changed_at``.

    The worker continues in ``refresh.defer_refresh_if_outdated``.
    """
    second = to_unix(changed_at)
    arguments: dict[str, str | int] = {"kind": kind, "stripe_id": stripe_id, "changed_at": second}
    return jobs.Wanted(f"look_up:{kind}:{stripe_id}:{second}", jobs.LOOK_UP, arguments, at=at)
