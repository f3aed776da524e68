"""The tax ids of a customer. Stripe keeps five at most, so old ones may have to make room for new ones."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Self, cast

import structlog
from stripe import Customer as StripeCustomer
from stripe import TaxId as StripeTaxId

from gateway.errors import BillingDetailsRefused, GatewayError, NotFound
from gateway.services.runtime import Gateway
from gateway.stripe_api.client import stripe_call, stripe_call_with_input
from schemas.billing_details import MOST_TAX_IDS

if TYPE_CHECKING:
    from stripe.params import CustomerTaxIdCreateParams

TAX_IDS = "tax_ids"
TaxIdKey = tuple[str, str]
"""Type and value, by which a person recognizes a tax id."""

log = structlog.get_logger()


@dataclass(kw_only=True)
class Exchange:
    """Exchanges the old tax ids of a customer for new ones, and remembers each step so that it can be undone."""

    gateway: Gateway
    customer_id: str
    unwanted: list[StripeTaxId]
    """Tax ids to be removed that the customer still has."""
    free_places: int
    """How many more tax ids Stripe accepts."""
    added: list[str] = field(default_factory=list)
    removed: list[TaxIdKey] = field(default_factory=list)

    @classmethod
    def begin(cls, gateway: Gateway, customer: StripeCustomer, keys: Iterable[TaxIdKey]) -> Self:
        """Prepare an exchange after which ``customer`` keeps only those of its tax ids that are in ``keys``.

        Duplicates are removed first, because removing them loses nothing.
        """
        there = tax_ids_of(customer)
        twice = find_duplicates(there)
        unwanted = [each for each in there if each.id in twice or key_of(each) not in set(keys)]
        unwanted.sort(key=lambda tax_id: tax_id.id not in twice)
        return cls(gateway=gateway, customer_id=customer.id, unwanted=unwanted, free_places=MOST_TAX_IDS - len(there))

    def add(self, keys: Iterable[TaxIdKey]) -> None:
        """Add tax ids. Remove an unwanted one first if there is no free place. Raise BillingDetailsRefused."""
        for key in sorted(keys):
            if self.free_places < 1 and self.unwanted:
                remove_tax_ids(self.gateway, self.customer_id, [self.unwanted[0].id])
                self.removed.append(key_of(self.unwanted.pop(0)))
                self.free_places += 1
            try:
                self.added.append(create_tax_id(self.gateway, self.customer_id, key))
            except BillingDetailsRefused:
                if not has_tax_id(self.gateway, self.customer_id, key):
                    raise  # if the customer has it, a concurrent request added it
            self.free_places -= 1

    def undo(self) -> None:
        """Restore the previous tax ids as far as Stripe allows.

        A failure is only logged, because the caller raises the original refusal in any case.
        """
        # Remove the new ones first. Stripe would have no room for the old ones otherwise.
        steps: list[Callable[[], object]] = [
            *(partial(remove_tax_ids, self.gateway, self.customer_id, [each]) for each in self.added),
            *(partial(create_tax_id, self.gateway, self.customer_id, key) for key in self.removed),
        ]
        for step in steps:
            try:
                step()
            except GatewayError as error:  # log its code alone, since its text may contain what a person typed
                log.error("tax_ids_not_as_they_were", customer_id=self.customer_id, code=error.code)  # noqa: TRY400 - a traceback shows the text


def create_tax_id(gateway: Gateway, customer_id: str, key: TaxIdKey) -> str:
    """Create a tax id at Stripe and return its id. Raise BillingDetailsRefused."""
    params = cast("CustomerTaxIdCreateParams", {"type": key[0], "value": key[1]})
    with stripe_call_with_input(TAX_IDS):
        return gateway.stripe.v1.customers.tax_ids.create(customer_id, params).id


def has_tax_id(gateway: Gateway, customer_id: str, key: TaxIdKey) -> bool:
    """Return whether the customer has the tax id at Stripe now."""
    with stripe_call():
        page = gateway.stripe.v1.customers.tax_ids.list(customer_id, {"limit": 100})
    return key in map(key_of, page.data)


def remove_tax_ids(gateway: Gateway, customer_id: str, ids: Iterable[str]) -> None:
    """Remove tax ids at Stripe. Ignore those that are already gone."""
    for tax_id in sorted(ids):
        try:
            with stripe_call():
                gateway.stripe.v1.customers.tax_ids.delete(customer_id, tax_id)
        except NotFound:
            continue


def find_duplicates(tax_ids: Iterable[StripeTaxId]) -> set[str]:
    """Return the ids of all but the oldest copy of each tax id.

    Two concurrent requests may both have added it. Both requests then keep the same copy.
    """
    first: set[TaxIdKey] = set()
    second: set[str] = set()
    for each in sorted(tax_ids, key=lambda tax_id: (tax_id.created, tax_id.id)):
        if key_of(each) in first:
            second.add(each.id)
        first.add(key_of(each))
    return second


def tax_ids_of(customer: StripeCustomer) -> list[StripeTaxId]:
    """Return the tax ids in the expanded list of a customer."""
    return customer.tax_ids.data if customer.tax_ids is not None else []


def key_of(tax_id: StripeTaxId) -> TaxIdKey:
    """Return the type and value of a tax id."""
    return tax_id.type, tax_id.value
