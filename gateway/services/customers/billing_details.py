"""Who is billed: name, e-mail, address and tax ids. Stripe keeps them, and puts them on each invoice."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from stripe import Customer as StripeCustomer
from stripe import TaxId as StripeTaxId
from stripe.params import CustomerUpdateParams

from gateway.errors import BillingDetailsRefused
from gateway.services.customers.customer import Customer, ensure_customer, find_customer
from gateway.services.customers.deletion import refuse_if_deleted
from gateway.services.customers.tax_ids import TAX_IDS, Exchange, find_duplicates, key_of, remove_tax_ids, tax_ids_of
from gateway.services.mirror.refresh import merge_snapshots
from gateway.services.runtime import Caller, Gateway
from gateway.stripe_api.client import stripe_call, stripe_call_with_input
from gateway.stripe_api.snapshots import CustomerSnapshot

ADDRESS = ("line1", "line2", "city", "state", "postal_code", "country")


@dataclass(frozen=True, kw_only=True)
class TaxId:
    """A tax id; ``verification`` is what Stripe found out about it."""

    type: str
    value: str
    verification: str | None


@dataclass(frozen=True, kw_only=True)
class BillingDetails:
    """Who is billed. None: nobody has said it yet."""

    name: str | None = None
    email: str | None = None
    address: Mapping[str, str | None] | None = None
    tax_ids: list[TaxId] = field(default_factory=list)


def retrieve_billing_details(gateway: Gateway, caller: Caller) -> BillingDetails:
    """As Stripe has them now; empty if the organization has no customer there. Raises StripeUnavailable."""
    if (customer := find_customer(gateway, caller)) is None:
        return BillingDetails()
    return to_billing_details(retrieve_customer(gateway, customer))


def replace_billing_details(gateway: Gateway, caller: Caller, wanted: Mapping[str, Any]) -> BillingDetails:
    """Make them ``wanted`` (as ``BillingDetailsSchema`` loads it), and give them as Stripe has them then.

    Raises BillingDetailsRefused if Stripe does not take something; then all is as it was, as far as Stripe lets it be
    undone. Killed in between, some of it is done, and the same request again does the rest. Two requests at once: the
    later one's name, e-mail and address hold, and each one's new tax ids, as far as Stripe has room for them.
    """
    ensure_customer(gateway, caller)
    if (customer := find_customer(gateway, caller)) is None:  # deleted this very moment
        return BillingDetails()
    before = retrieve_customer(gateway, customer)
    keys = {(each["type"], each["value"]) for each in wanted[TAX_IDS]}
    exchange = Exchange.begin(gateway, before, keys)
    # New tax ids first: they are what Stripe is likeliest to refuse. The old ones last, but for those without which
    # there is no room for the new: till then nothing is lost.
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
    return details


def retrieve_customer(gateway: Gateway, customer: Customer) -> StripeCustomer:
    """The customer with its tax ids. Raises ContactSalesRequired if it was deleted, and lets the mirror know."""
    with stripe_call():
        found = gateway.stripe.v1.customers.retrieve(customer.id, {"expand": [TAX_IDS]})
    state = CustomerSnapshot.from_answer(found, cause="billing details", after_revision=customer.revision)
    refuse_if_deleted(gateway, state)
    return found


def update_customer(gateway: Gateway, customer: Customer, wanted: Mapping[str, Any]) -> StripeCustomer:
    """Set name, e-mail and address, and give the customer with its tax ids. Raises BillingDetailsRefused."""
    address = wanted["address"]
    params = {
        "name": wanted["name"],
        "email": wanted["email"],
        # "" clears; None would not be sent at all
        "address": {part: address[part] or "" for part in ADDRESS} if address is not None else "",
        "expand": [TAX_IDS],
    }
    with stripe_call_with_input():
        return gateway.stripe.v1.customers.update(customer.id, cast("CustomerUpdateParams", params))


def to_billing_details(customer: StripeCustomer, *, without: Iterable[str] = ()) -> BillingDetails:
    """What Stripe says, less the tax ids that were removed since."""
    address = customer.address.to_dict() if customer.address is not None else None
    return BillingDetails(
        name=customer.name,
        email=customer.email,
        address={part: address[part] for part in ADDRESS} if address is not None else None,
        tax_ids=[to_tax_id(each) for each in tax_ids_of(customer) if each.id not in set(without)],
    )


def to_tax_id(tax_id: StripeTaxId) -> TaxId:
    """A tax id for people."""
    verification = tax_id.verification.status if tax_id.verification is not None else None
    return TaxId(type=tax_id.type, value=tax_id.value, verification=verification)
