"""The limits in numbers. Each class of route has its own, by organization, by user and by address.

Several requests of one page load count separately. The numbers therefore allow about ten times the requests that a
person needs. They stop a program that repeats a request as fast as it can.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from types import MappingProxyType

from limits import RateLimitItem, parse_many

from gateway.services.rate_limits.rows import RowLimit


class RouteClass(StrEnum):
    """What a request of a route costs."""

    READ = "read"
    """Reads only our own tables."""
    STRIPE = "stripe"
    """Calls Stripe, and changes neither the plan nor a payment method."""
    CHANGE = "change"
    """Changes the plan."""
    CARD = "card"
    """Touches a payment method that is on file."""
    NEW_CARD = "new_card"
    """Begins to add a payment method."""
    PAY = "pay"
    """Charges a payment method."""
    INQUIRY = "inquiry"
    """Sends a message to the sales team."""
    SERVICE = "service"
    """Comes from a service of ours and not from a person."""


class Dimension(StrEnum):
    """Whose requests a limit counts."""

    ORGANIZATION = "organization"
    USER = "user"
    ADDRESS = "address"


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The limits of one class. Each is a list of rates in the notation of the library ``limits``. None means none."""

    organization: str | None
    user: str | None
    address: str | None

    def of(self, dimension: Dimension) -> str | None:
        """Return the limits that count the requests of ``dimension``."""
        limits: str | None = getattr(self, dimension)
        return limits


# One user must not use up the organization's share, so a user may do less than an organization. Several people share an
# address, so an address may do more.
LIMITS: Mapping[RouteClass, Limits] = MappingProxyType(
    {
        # An open Billing page polls, and a read costs a millisecond or two. Each process counts for itself.
        RouteClass.READ: Limits(organization="1200/minute", user="600/minute", address="2400/minute"),
        # A preview makes two calls. One organization gets at most a tenth of Stripe's budget of 20 calls a second.
        RouteClass.STRIPE: Limits(organization="60/minute", user="40/minute", address="120/minute"),
        # A change makes up to four calls, and `CHANGES` below bounds those that are carried out.
        RouteClass.CHANGE: Limits(organization="30/minute", user="20/minute", address="60/minute"),
        # A person chooses or removes a few payment methods at most.
        RouteClass.CARD: Limits(organization="20/minute", user="10/minute", address="40/minute"),
        # A thief who tests stolen cards adds hundreds of them. A person tries two or three.
        RouteClass.NEW_CARD: Limits(organization="10/hour; 20/day", user="10/hour; 20/day", address="30/hour; 60/day"),
        # A person pays the open invoices one after the other.
        RouteClass.PAY: Limits(organization="10/minute", user="10/minute", address="20/minute"),
        # `INQUIRIES` below bounds those that are stored. This limit bounds the tries.
        RouteClass.INQUIRY: Limits(organization="20/hour", user="20/hour", address="60/hour"),
        # A service asks for the plans of all organizations, so its address is always the same. Each process counts for
        # itself, because counting in the database would cost as much as the request.
        RouteClass.SERVICE: Limits(organization="1200/minute", user="12000/minute", address=None),
    }
)
PER_PROCESS = frozenset({RouteClass.READ, RouteClass.SERVICE})  # a read must not cause a write
SERVICE_SCOPES = frozenset({"plans:read", "usage:write"})


# An upgrade followed by a downgrade leaves a credit, and Stripe limits the number of invoices of a subscription.
CHANGES = RowLimit(amount=20, window=timedelta(hours=1))
# A sixth inquiry within an hour does not come from a person.
INQUIRIES = RowLimit(amount=5, window=timedelta(hours=1))

# Declined payments of one organization. A thief needs hundreds, and a person gives up or calls the bank after a few.
DECLINES = "5/hour; 10/day"
# Payment methods on file of one organization. More would help only a thief, who collects the cards that are valid.
MAX_PAYMENT_METHODS = 10


def choose_class(declared: RouteClass, scopes: frozenset[str]) -> RouteClass:
    """Return the class whose limits apply. A service that reads has its own, so that users cannot use them up."""
    return RouteClass.SERVICE if declared is RouteClass.READ and scopes & SERVICE_SCOPES else declared


def multiply(limits: str | None, factor: int) -> list[RateLimitItem]:
    """Return ``limits`` with ``factor`` times the amounts."""
    return [type(each)(each.amount * factor, each.multiples) for each in parse_many(limits)] if limits else []
