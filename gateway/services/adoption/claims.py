"""Decide which customer belongs to which organization. Pure functions.

A *claim* says that a customer belongs to an organization. It comes from the customer's metadata or from a CSV file.
"""

import csv
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from gateway.errors import InvalidRequest
from schemas.fields import ORGANIZATION_ID_PATTERN

CUSTOMER, ORGANIZATION = "customer_id", "organization_id"  # the columns of the CSV file

Claims = Mapping[str, Collection[str]]
"""Customer -> the organizations that claim it."""


class Reason(StrEnum):
    """Why a customer is not linked."""

    CONTRADICTION = "contradiction"
    TWO_CUSTOMERS = "two_customers"
    OTHER_CUSTOMER = "other_customer"
    OTHER_ORGANIZATION = "other_organization"
    DELETED = "deleted"
    UNKNOWN_CUSTOMER = "unknown_customer"
    INVALID_ORGANIZATION = "invalid_organization"
    UNREADABLE = "unreadable"


REASON_TEXTS: Mapping[Reason, str] = MappingProxyType(
    {
        Reason.CONTRADICTION: "metadata and file name different organizations for it",
        Reason.TWO_CUSTOMERS: "several customers name this organization",
        Reason.OTHER_CUSTOMER: "the organization has another customer",
        Reason.OTHER_ORGANIZATION: "the customer belongs to another organization",
        Reason.DELETED: "the organization's customer was deleted",
        Reason.UNKNOWN_CUSTOMER: "Stripe does not list this customer. It was deleted, or is in another account or mode",
        Reason.INVALID_ORGANIZATION: "this is no organization's id",
        Reason.UNREADABLE: "this version cannot read the customer or one of its subscriptions",
    }
)


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """A customer that is not linked. A person must look at it."""

    customer_id: str
    organizations: Collection[str]
    reason: Reason


@dataclass(frozen=True, kw_only=True)
class Stored:
    """The links that the gateway has already stored."""

    customers: Mapping[str, str]
    """Organization -> its customer."""
    deleted: Collection[str]
    """The organizations whose customer was deleted at Stripe."""


@dataclass(kw_only=True)
class Decision:
    """What becomes of each claim."""

    links: dict[str, str] = field(default_factory=dict)
    """Customer -> the organization that it can be linked to."""
    linked: dict[str, str] = field(default_factory=dict)
    """Customer -> its organization, if they are linked already."""
    refusals: list[Refusal] = field(default_factory=list)


def read_rows(lines: Iterable[str]) -> dict[str, set[str]]:
    """Return the claims of a CSV file. Raise InvalidRequest for a missing column or value."""
    reader = csv.DictReader(lines)
    if not {CUSTOMER, ORGANIZATION} <= set(reader.fieldnames or ()):
        raise InvalidRequest(f"The first line of the file must name the columns {CUSTOMER} and {ORGANIZATION}.")
    claims: defaultdict[str, set[str]] = defaultdict(set)
    for row in reader:
        customer, organization = ((row[name] or "").strip() for name in (CUSTOMER, ORGANIZATION))
        if not customer or not organization:
            raise InvalidRequest(f"Line {reader.line_num} of the file lacks a customer or an organization.")
        claims[customer].add(organization)
    return dict(claims)


def decide_links(claims: Claims, readable: Mapping[str, bool], stored: Stored) -> Decision:
    """Decide each claim. ``readable`` holds the customers that Stripe lists, and whether we can read them.

    A claim that is not plainly right is refused, because a wrong link shows one organization the money of another.
    """
    claimants: defaultdict[str, set[str]] = defaultdict(set)
    for customer, organizations in claims.items():
        for organization in organizations:
            claimants[organization].add(customer)
    owners = {customer: organization for organization, customer in stored.customers.items()}
    decision = Decision()
    for customer, organizations in sorted(claims.items()):
        organization = min(organizations)
        is_linked = stored.customers.get(organization) == customer
        refusals = {  # the first one that holds is the reason
            Reason.CONTRADICTION: len(organizations) > 1,
            Reason.INVALID_ORGANIZATION: not ORGANIZATION_ID_PATTERN.fullmatch(organization),
            Reason.DELETED: organization in stored.deleted,
            Reason.UNKNOWN_CUSTOMER: customer not in readable,
            Reason.OTHER_CUSTOMER: organization in stored.customers and not is_linked,
            Reason.OTHER_ORGANIZATION: owners.get(customer, organization) != organization,
            Reason.TWO_CUSTOMERS: len(claimants[organization]) > 1 and not is_linked,
            Reason.UNREADABLE: not readable.get(customer, True) and not is_linked,
        }
        if (reason := next((each for each, holds in refusals.items() if holds), None)) is not None:
            refusal = Refusal(customer_id=customer, organizations=sorted(organizations), reason=reason)
            decision.refusals.append(refusal)
        else:
            (decision.linked if is_linked else decision.links)[customer] = organization
    return decision
