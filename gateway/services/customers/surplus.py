"""Detach the payment methods that setup intents of ours attached beyond the limit.

A setup intent that was created before the limit was reached may be confirmed after it. The merge of its event finds
that (``mirror/dependents.find_surplus_methods``) and queues the job below.
"""

from functools import partial

import structlog
from sqlalchemy import exists, or_, select
from sqlalchemy.orm import Session

from gateway.db.models import Organization, PaymentMethod, Subscription
from gateway.errors import DefaultPaymentMethod, PaymentMethodInUse
from gateway.services.customers.method_removal import REMOVAL
from gateway.services.customers.payment_methods import COUNT_ON_FILE, is_detached
from gateway.services.intents.completion import perform
from gateway.services.intents.reservation import Kind, reserve
from gateway.services.mirror.refresh import refresh
from gateway.services.rate_limits.table import MAX_PAYMENT_METHODS
from gateway.services.runtime import Gateway
from gateway.stripe_api.snapshots import CustomerSnapshot, PaymentMethodSnapshot

log = structlog.get_logger()


def detach_surplus(gateway: Gateway, payment_method_id: str) -> None:
    """Run the job that detaches a payment method if there are still too many, and if nothing names it.

    Raise ChangeInProgress or StripeUnavailable, and the worker then retries the job.
    """
    refresh(gateway, PaymentMethodSnapshot.kind, payment_method_id)
    with gateway.database.reading() as session:
        if (found := session.get(PaymentMethod, payment_method_id)) is None:
            return  # Stripe no longer knows it
        customer_id = session.get_one(Organization, found.organization_id).stripe_customer_id or ""
    refresh(gateway, CustomerSnapshot.kind, customer_id)  # somebody may just have made it the default
    check = partial(is_surplus, found)
    intent = reserve(gateway, found.organization_id, Kind.DELETE_PAYMENT_METHOD, payment_method_id, check)
    if intent is None:
        return
    try:
        perform(gateway, REMOVAL, intent)
    except (DefaultPaymentMethod, PaymentMethodInUse):
        log.warning("surplus_payment_method_kept", payment_method_id=payment_method_id, exc_info=True)


def is_surplus(found: PaymentMethod, session: Session) -> bool:
    """Return whether too many payment methods are on file, this one among them, and nothing names this one."""
    named = select(
        or_(
            exists().where(
                or_(Organization.default_payment_method_id == found.id, Organization.default_source_id == found.id)
            ),
            exists().where(Subscription.default_payment_method_id == found.id),
        )
    )
    on_file = session.scalars(COUNT_ON_FILE, {"organization_id": found.organization_id}).one()
    return on_file > MAX_PAYMENT_METHODS and not is_detached(session, found.id) and not session.scalar(named)
