"""Snapshots of payment methods: cards, Link, bank debits and every other type."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import ClassVar, Self

from gateway.stripe_api.events import JsonObject
from gateway.stripe_api.snapshots.base import Seen, Snapshot, id_of, integer_or_none, required_id, strict, text, word

DOTS = "•••• "
# Readable names of the types whose word for Stripe is not readable. https://docs.stripe.com/payments/payment-methods/overview
NAMES: Mapping[str, str] = MappingProxyType(
    {
        "acss_debit": "Pre-authorized debit",
        "au_becs_debit": "BECS Direct Debit",
        "bacs_debit": "Bacs Direct Debit",
        "cashapp": "Cash App Pay",
        "paypal": "PayPal",
        "sepa_debit": "SEPA Direct Debit",
        "us_bank_account": "US bank account",
    }
)
# Types that confirm a payment only after days. https://docs.stripe.com/payments/bank-debits
BANK_DEBITS = frozenset(
    {"acss_debit", "au_becs_debit", "bacs_debit", "nz_bank_account", "sepa_debit", "us_bank_account"}
)


@dataclass(frozen=True, kw_only=True)
class PaymentMethodSnapshot(Snapshot):
    """A payment method of any type: https://docs.stripe.com/api/payment_methods/object."""

    kind: ClassVar[str] = "payment_method"

    customer_id: str | None = field(compare=False)
    """The customer, or the previous customer if it is ``detached`` and the event names that customer."""
    type: str
    """Stripe's word for it, such as ``card``, ``link``, ``sepa_debit`` or ``us_bank_account``."""
    label: str
    """What a person recognizes it by, such as ``Visa •••• 4242`` or an e-mail address."""
    brand: str | None
    last4: str | None
    exp_month: int | None
    exp_year: int | None
    detached: bool

    @property
    def owner(self) -> str | None:
        """Return the customer, or the previous one."""
        return self.customer_id

    @property
    def rank(self) -> int:
        """Return 1 for a detached payment method, which can never be attached again, and 0 otherwise."""
        return int(self.detached)

    @classmethod
    @strict
    def read(cls, stripe_object: JsonObject, seen: Seen) -> Self:
        """Read a payment method of any type. Only a card has a brand and an expiry."""
        kind = word(stripe_object["type"])
        details = stripe_object.get(kind) or {}
        return cls(
            id=required_id(stripe_object),
            customer_id=id_of(stripe_object["customer"]),
            type=kind,
            label=build_label(kind, details),
            brand=text(details.get("brand")),
            last4=text(details.get("last4")),
            exp_month=integer_or_none(details.get("exp_month")),
            exp_year=integer_or_none(details.get("exp_year")),
            detached=stripe_object["customer"] is None,
            seen=seen,
        )


def build_label(kind: str, details: JsonObject) -> str:
    """Return what a person recognizes a payment method by: the name, then the last digits or the account's e-mail."""
    name = text(details.get("brand") or details.get("bank_name"))
    if name is None:
        name = NAMES.get(kind, kind.replace("_", " ").capitalize())
    elif name.islower():  # Stripe's words for the card brands, such as ``visa``
        name = name.replace("_", " ").title()
    last4 = text(details.get("last4"))
    account = text(details.get("email") or details.get("payer_email") or details.get("cashtag"))
    mark = account if last4 is None else DOTS + last4
    return name if mark is None else f"{name} {mark}"
