"""The tax ids of a customer, of which Stripe keeps five at most: how new ones take the place of old ones."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Self, cast

import structlog
from stripe import Customer as StripeCustomer
from stripe import TaxId as StripeTaxId
from stripe.params import CustomerTaxIdCreateParams

from gateway.errors import BillingDetailsRefused, GatewayError, NotFound
from gateway.services.runtime import Gateway
from gateway.stripe_api.client import stripe_call, stripe_call_with_input
from schemas.billing_details import MOST_TAX_IDS

TAX_IDS = "tax_ids"
TaxIdKey = tuple[str, str]
"""Type and value: by what a person knows a tax id."""

log = structlog.get_logger()


@dataclass(kw_only=True)
class Exchange:
    """How far the old tax ids of a customer have been exchanged for new ones."""

    gateway: Gateway
    customer_id: str
    unwanted: list[StripeTaxId]
    """Those that are to go, and are still there."""
    free_places: int
    """How many more Stripe takes."""
    added: list[str] = field(default_factory=list)
    removed: list[TaxIdKey] = field(default_factory=list)

    @classmethod
    def begin(cls, gateway: Gateway, customer: StripeCustomer, keys: Iterable[TaxIdKey]) -> Self:
        """What ``customer`` has, of which ``keys`` stay. Who is there twice goes first: nothing is lost by that."""
        there = tax_ids_of(customer)
        twice = find_duplicates(there)
        unwanted = [each for each in there if each.id in twice or key_of(each) not in set(keys)]
        unwanted.sort(key=lambda tax_id: tax_id.id not in twice)
        return cls(gateway=gateway, customer_id=customer.id, unwanted=unwanted, free_places=MOST_TAX_IDS - len(there))

    def add(self, keys: Iterable[TaxIdKey]) -> None:
        """Add them; only where there is no room does one that is to go go before. Raises BillingDetailsRefused."""
        for key in sorted(keys):
            if self.free_places < 1 and self.unwanted:
                remove_tax_ids(self.gateway, self.customer_id, [self.unwanted[0].id])
                self.removed.append(key_of(self.unwanted.pop(0)))
                self.free_places += 1
            try:
                self.added.append(create_tax_id(self.gateway, self.customer_id, key))
            except BillingDetailsRefused:
                if not has_tax_id(self.gateway, self.customer_id, key):
                    raise  # otherwise another request has added it meanwhile
            self.free_places -= 1

    def undo(self) -> None:
        """Make all as it was, as far as Stripe does it: whoever asked is told what was refused in any case."""
        steps: list[Callable[[], object]] = [
            *(
                partial(remove_tax_ids, self.gateway, self.customer_id, [each]) for each in self.added
            ),  # or there were no room
            *(partial(create_tax_id, self.gateway, self.customer_id, key) for key in self.removed),
        ]
        for step in steps:
            try:
                step()
            except GatewayError as error:  # whose words may hold what a person typed
                log.error("tax_ids_not_as_they_were", customer_id=self.customer_id, code=error.code)  # noqa: TRY400


def create_tax_id(gateway: Gateway, customer_id: str, key: TaxIdKey) -> str:
    """Its id. Raises BillingDetailsRefused."""
    params = cast("CustomerTaxIdCreateParams", {"type": key[0], "value": key[1]})
    with stripe_call_with_input(TAX_IDS):
        return gateway.stripe.v1.customers.tax_ids.create(customer_id, params).id


def has_tax_id(gateway: Gateway, customer_id: str, key: TaxIdKey) -> bool:
    """Whether the customer has it by now."""
    with stripe_call():
        page = gateway.stripe.v1.customers.tax_ids.list(customer_id, {"limit": 100})
    return key in map(key_of, page.data)


def remove_tax_ids(gateway: Gateway, customer_id: str, ids: Iterable[str]) -> None:
    """Remove them; one that is gone already is what was wanted."""
    for tax_id in sorted(ids):
        try:
            with stripe_call():
                gateway.stripe.v1.customers.tax_ids.delete(customer_id, tax_id)
        except NotFound:
            continue


def find_duplicates(tax_ids: Iterable[StripeTaxId]) -> set[str]:
    """All but the oldest of each: two requests at once may both have added it, and both then keep the same one."""
    first: set[TaxIdKey] = set()
    second: set[str] = set()
    for each in sorted(tax_ids, key=lambda tax_id: (tax_id.created, tax_id.id)):
        if key_of(each) in first:
            second.add(each.id)
        first.add(key_of(each))
    return second


def tax_ids_of(customer: StripeCustomer) -> list[StripeTaxId]:
    """What the expanded list holds."""
    return customer.tax_ids.data if customer.tax_ids is not None else []


def key_of(tax_id: StripeTaxId) -> TaxIdKey:
    """By what a person knows it."""
    return tax_id.type, tax_id.value
