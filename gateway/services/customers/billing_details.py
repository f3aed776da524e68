"""Billing details: name, e-mail, address and tax ids. Stripe stores them and prints them on each invoice."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from stripe import Customer as StripeCustomer
from stripe import TaxId as StripeTaxId

from gateway.errors import BillingDetailsRefused
from gateway.services.customers.automatic_tax import switch_on_tax
from gateway.services.customers.customer import Customer, ensure_customer, find_customer
from gateway.services.customers.deletion import refuse_if_deleted
from gateway.services.customers.tax_ids import TAX_IDS, Exchange, find_duplicates, key_of, remove_tax_ids, tax_ids_of
from gateway.services.mirror.refresh import merge_snapshots
from gateway.services.runtime import Caller, Gateway
from gateway.stripe_api.client import stripe_call, stripe_call_with_input
from gateway.stripe_api.snapshots import CustomerSnapshot

if TYPE_CHECKING:
    from stripe.params import CustomerUpdateParams

ADDRESS = ("line1", "line2", "city", "state", "postal_code", "country")


@dataclass(frozen=True, kw_only=True)
class TaxId:
    """A tax id. ``verification`` is the status of Stripe's check of it."""

    type: str
    value: str
    verification: str | None


@dataclass(frozen=True, kw_only=True)
class BillingDetails:
    """Who is billed. None stands for a value that the organization never gave."""

    name: str | None = None
    email: str | None = None
    address: Mapping[str, str | None] | None = None
    tax_ids: list[TaxId] = field(default_factory=list)


def retrieve_billing_details(gateway: Gateway, caller: Caller) -> BillingDetails:
    """Return the billing details that Stripe has now. Raise StripeUnavailable.

    They are empty if the organization has no customer.
    """
    if (customer := find_customer(gateway, caller.organization_id)) is None:
        return BillingDetails()
    return to_billing_details(retrieve_customer(gateway, customer))


def replace_billing_details(gateway: Gateway, caller: Caller, wanted: Mapping[str, Any]) -> BillingDetails:
    """Replace the billing details with ``wanted``, as ``BillingDetailsSchema`` loads it, and return the result.

    Raise BillingDetailsRefused if Stripe rejects a value. The previous details are then restored as far as Stripe
    allows. If the process is killed, some details are replaced, and repeating the request replaces the rest.
    Of two concurrent requests, the later one's name, e-mail and address win. Stripe keeps the new tax ids of both,
    as far as it has room for them.
    """
    ensure_customer(gateway, caller)
    customer = find_customer(gateway, caller.organization_id)
    if customer is None:  # deleted since ``ensure_customer`` returned
        return BillingDetails()
    before = retrieve_customer(gateway, customer)
    keys = {(each["type"], each["value"]) for each in wanted[TAX_IDS]}
    exchange = Exchange.begin(gateway, before, keys)
    # Add the new tax ids first, because Stripe is most likely to reject those. Remove the old ones last, except where
    # a new one needs their place. A rejection then loses as little as possible.
    try:
        exchange.add(keys - {key_of(each) for each in tax_ids_of(before)})
        updated = update_customer(gateway, customer, wanted)
    except BillingDetailsRefused:
        exchange.undo()
        raise
    unwanted = {each.id for each in exchange.unwanted} | find_duplicates(tax_ids_of(updated))
    remove_tax_ids(gateway, customer.id, unwanted)
    details = to_billing_details(updated, without=unwanted)
    state = CustomerSnapshot.from_answer(updated, cause="billing details", after_revision=customer.revision)
    merge_snapshots(gateway, state)
    if updated.address is not None:
        switch_on_tax(gateway, caller.organization_id)
    return details


def retrieve_customer(gateway: Gateway, customer: Customer) -> StripeCustomer:
    """Retrieve the customer with its tax ids. If it was deleted, update the mirror and raise ContactSalesRequired."""
    with stripe_call():
        found = gateway.stripe.v1.customers.retrieve(customer.id, {"expand": [TAX_IDS]})
    state = CustomerSnapshot.from_answer(found, cause="billing details", after_revision=customer.revision)
    refuse_if_deleted(gateway, state)
    return found


def update_customer(gateway: Gateway, customer: Customer, wanted: Mapping[str, Any]) -> StripeCustomer:
    """Set name, e-mail and address, and return the customer with its tax ids. Raise BillingDetailsRefused."""
    address = wanted["address"]
    params = {
        "name": wanted["name"],
        "email": wanted["email"],
        # Stripe clears what is sent as "". The SDK would not send None.
        "address": {part: address[part] or "" for part in ADDRESS} if address is not None else "",
        "expand": [TAX_IDS],
    }
    with stripe_call_with_input():
        return gateway.stripe.v1.customers.update(customer.id, cast("CustomerUpdateParams", params))


def to_billing_details(customer: StripeCustomer, *, without: Iterable[str] = ()) -> BillingDetails:
    """Convert Stripe's customer. ``without`` holds the ids of tax ids that were removed after Stripe's answer."""
    address = customer.address.to_dict() if customer.address is not None else None
    return BillingDetails(
        name=customer.name,
        email=customer.email,
        address={part: address[part] for part in ADDRESS} if address is not None else None,
        tax_ids=[to_tax_id(each) for each in tax_ids_of(customer) if each.id not in set(without)],
    )


def to_tax_id(tax_id: StripeTaxId) -> TaxId:
    """Convert Stripe's tax id."""
    verification = tax_id.verification.status if tax_id.verification is not None else None
    return TaxId(type=tax_id.type, value=tax_id.value, verification=verification)
