"""The time that an organization did not use and has not paid, and what withdraws Stripe's credit for it.

``plan_changes.unpaid_credits`` withdraws the credit, and a quote states it before. An invoice item charges the credit
back, and Stripe adds the taxes that come on top. A credit note takes it off the unpaid invoice, together with these
taxes.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Self

from sqlalchemy import func, select
from stripe import Invoice

from gateway.db.models import Charge
from gateway.services.mirror.refresh import PAYMENTS
from gateway.services.quotes.held_credits import HeldCredits, read_held_credits
from gateway.services.quotes.lines import (
    QuoteLine,
    find_credited_invoice,
    net_amount,
    parse_line,
    sum_discounts,
    sum_taxes,
)
from gateway.services.runtime import Gateway
from gateway.stripe_api.client import stripe_call
from gateway.stripe_api.snapshots import InvoiceSnapshot

CHARGED_BACK = "Unused time that was not paid. It is credited on the unpaid invoice."


@dataclass(frozen=True, kw_only=True)
class UnpaidTime:
    """An invoice that is not a draft, and the credits against it."""

    invoice: Invoice
    held: HeldCredits
    returned: int
    """What was received for the invoice and went back, or never had to be paid."""

    @classmethod
    def read(cls, gateway: Gateway, invoice_id: str, to_come: Sequence[dict[str, Any]] = ()) -> Self | None:
        """Read it from Stripe, as if the lines ``to_come`` of a preview had credited the invoice already.

        Return None if the invoice is a draft, if a payment is in progress, or if Stripe may write a credit off itself.
        Raise NotFound for a draft that was deleted.
        """
        with stripe_call():
            invoice = gateway.stripe.v1.invoices.retrieve(invoice_id, {"expand": [PAYMENTS]})
        # A bank debit takes days. Until its end Stripe issues no credit note, and the time may still be paid.
        under_way = InvoiceSnapshot.from_answer(invoice, cause="withdrawal").payment_under_way
        if invoice.status == "draft" or under_way:
            return None
        held = read_held_credits(gateway, invoice, to_come)
        returned = load_returned(gateway, invoice_id) + held.forgiven
        return cls(invoice=invoice, held=held, returned=returned) if held.is_final else None

    @property
    def charge(self) -> int:
        """Return what must still be charged back, before taxes."""
        # Earlier credits may have paid a part of the invoice. The organization keeps what it is credited of that part.
        is_paid = self.invoice.status == "paid"
        owed = 0 if is_paid else self.invoice.amount_remaining + self.invoice.pre_payment_credit_notes_amount
        unpaid = min(self.held.credited, self.held.share.take_from(owed + self.returned))
        return max(0, unpaid - self.held.charged_back)

    @property
    def note(self) -> int:
        """Return how much a credit note must take off the invoice once everything is charged back, 0 for none.

        An organization that pays the invoice in the meantime gets the money that it paid for unused time. Nothing is
        owed on a void invoice. A credit note would give returned money once more.
        """
        if self.invoice.status == "void":
            return 0
        received = self.invoice.amount_paid - self.invoice.post_payment_credit_notes_amount
        wanted = self.held.share.add_to(self.held.charged_back + self.charge) - self.held.noted - self.returned
        return max(0, min(wanted, received if self.invoice.status == "paid" else self.invoice.amount_remaining))


def load_returned(gateway: Gateway, invoice_id: str) -> int:
    """Return what refunds and lost disputes took back of an invoice's payments."""
    amount = func.coalesce(func.sum(Charge.amount_refunded + Charge.amount_lost), 0)
    with gateway.database.reading() as session:
        return int(session.scalar(select(amount).where(Charge.invoice_id == invoice_id)) or 0)


@dataclass(frozen=True, kw_only=True)
class ChargeBack:
    """What a change will charge back of one invoice."""

    line: QuoteLine
    """The invoice item."""
    total: int
    """What the item adds to the next invoice, with the taxes that come on top."""
    taxes_included: int
    """The taxes that the item's amount includes."""
    noted: int
    """What a credit note takes off the unpaid invoice."""


def predict_charges(gateway: Gateway, unsettled: Collection[str], lines: Sequence[dict[str, Any]]) -> list[ChargeBack]:
    """Return what is charged back of the ``unsettled`` invoices that the ``lines`` of a preview credit."""
    credits_of: dict[str, list[dict[str, Any]]] = {}
    for line in lines:
        if (invoice_id := find_credited_invoice(line)) is not None and invoice_id in unsettled:
            credits_of.setdefault(invoice_id, []).append(line)
    read = [(found, UnpaidTime.read(gateway, invoice_id, found)) for invoice_id, found in credits_of.items()]
    return [predict_charge(found, unpaid) for found, unpaid in read if unpaid is not None and unpaid.charge > 0]


def predict_charge(lines: Sequence[dict[str, Any]], unpaid: UnpaidTime) -> ChargeBack:
    """Return what is charged back of one invoice, which the ``lines`` credit."""
    amount = unpaid.charge
    credited = -sum(line["amount"] - sum_discounts(line) for line in lines)
    total = -sum(net_amount(line) for line in lines)
    included = -sum(sum_taxes(line, "inclusive") for line in lines)
    return ChargeBack(
        line=replace(parse_line(lines[-1]), description=CHARGED_BACK, amount=amount, proration=False),
        total=total if amount == credited else unpaid.held.share.add_to(amount),
        taxes_included=round(Fraction(included * amount, credited)) if credited else 0,
        noted=unpaid.note,
    )
