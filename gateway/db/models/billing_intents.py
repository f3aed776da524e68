"""The billing operations in flight, each of which the gateway is about to carry out at Stripe."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from gateway.db.models.base import Base


class BillingIntent(Base):
    """One operation that changes what an organization pays with, or what it has to pay.

    Plan changes have their own table. The row exists only while the operation is in flight. It is committed before
    Stripe is called, and the transaction that merges Stripe's answer deletes it. A trigger on this table refuses a row
    while a plan change is in flight. Another on ``plan_changes`` refuses a change while this table has a row. Without
    these triggers, a card could be removed while an upgrade relies on it.
    """

    __tablename__ = "billing_intents"
    __table_args__ = (
        # A kind that no worker knows would never be completed, and would block its organization.
        CheckConstraint(
            "kind IN ('set_default_payment_method', 'delete_payment_method', 'pay_invoice', 'abandon_change',"
            " 'move_prices', 'return_to_floor', 'extend_trial')",
            name="kind",
        ),
    )

    # The organization is the key, so it has one operation in flight at most. Two of them could each pass their checks
    # before the other reaches Stripe, and together leave a paid plan without a card.
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"), primary_key=True)
    # A completion job names its intent by this id. It is unique, so that the job finds no other operation.
    id: Mapped[str] = mapped_column(unique=True)
    """The idempotency key of the call derives from it, so Stripe carries out a repeated call once."""
    kind: Mapped[str]
    object_id: Mapped[str]
    """The payment method, invoice, plan change or subscription. Stored, with the kind, for a repeated call."""
    # Stored, because the default may change before a repeated call. Stripe refuses other parameters under one key.
    payment_method_id: Mapped[str | None]
    """What a payment charges. None if the mirror knew nothing, and for the other kinds."""
    created_at: Mapped[datetime]
