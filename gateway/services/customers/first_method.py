"""The first payment method of an organization in a trial, which becomes the default.

Stripe does not count one that is merely attached, and would end the trial as if there were none.
https://docs.stripe.com/billing/subscriptions/trials
"""

from functools import partial

from sqlalchemy import select
from sqlalchemy.orm import Session

from gateway.db.models import OrganizationPlan, PaymentMethod, Trial
from gateway.services.customers.default_method import DEFAULT_CHOICE
from gateway.services.customers.payment_methods import is_expired
from gateway.services.intents.completion import perform
from gateway.services.intents.reservation import Kind, reserve
from gateway.services.mirror.charged_method import find_charged_method
from gateway.services.runtime import Gateway
from gateway.stripe_api.snapshots import TRIALING


def choose_first_method(gateway: Gateway, organization_id: str) -> None:
    """Run the job that makes the first payment method the default, if nothing is charged after the trial without it.

    Raise StripeUnavailable, or ChangeInProgress, and the worker then retries the job.
    """
    with gateway.database.reading() as session:
        method_id = find_first_method(gateway, session, organization_id)
    if method_id is None:
        return
    check = partial(is_first, gateway, organization_id, method_id)
    intent = reserve(gateway, organization_id, Kind.SET_DEFAULT_PAYMENT_METHOD, method_id, check)
    if intent is not None:
        perform(gateway, DEFAULT_CHOICE, intent)


def is_first(gateway: Gateway, organization_id: str, method_id: str, session: Session) -> bool:
    """Return whether the payment method must still become the default."""
    return find_first_method(gateway, session, organization_id) == method_id


def find_first_method(gateway: Gateway, session: Session, organization_id: str) -> str | None:
    """Return the payment method that must become the default, or None.

    It is None unless the gateway started the trial. What another program makes of its trials is its own decision.
    """
    trialing = (
        select(Trial.change_id)
        .join(OrganizationPlan, OrganizationPlan.organization_id == Trial.organization_id)
        .where(Trial.organization_id == organization_id, OrganizationPlan.status == TRIALING)
    )
    if session.scalar(trialing) is None or find_charged_method(session, organization_id) is not None:
        return None
    on_file = select(PaymentMethod).where(
        PaymentMethod.organization_id == organization_id,
        PaymentMethod.detached.is_(False),
        PaymentMethod.as_of.is_not(None),
    )
    usable = session.scalars(on_file.order_by(PaymentMethod.as_of, PaymentMethod.id))
    return next((each.id for each in usable if not is_expired(each, gateway.clock())), None)
