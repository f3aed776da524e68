"""The inbox.

It keeps each acknowledged event, without client secrets, and without the payload of a type that has no handler.
"""

from datetime import datetime

from sqlalchemy import CheckConstraint, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from gateway.db.models.base import Base


class WebhookEvent(Base):
    """A stored event and its state.

    pending   waits for the merge
    failed    waits for a retry at ``next_attempt_at``
    done      merged, or stale and so without effect
    ignored   has a type without a handler, or a customer that is not ours
    rejected  comes from another mode or account than ours, and is never merged
    dead      failed too often, until a redelivery or a replay resets it
    """

    __tablename__ = "webhook_events"
    __table_args__ = (
        # The drain would never find an event in an unknown state.
        CheckConstraint("state IN ('pending', 'failed', 'done', 'ignored', 'rejected', 'dead')", name="state"),
        # The metrics count the events of the source ``gap`` as never delivered. They would overlook another source.
        CheckConstraint("source IN ('webhook', 'gap')", name="source"),
        # Operators and metrics look for events that Stripe never delivered. Partial, because these are very few.
        Index("ix_webhook_events_gap", "received_at", postgresql_where=text("source = 'gap'")),
        # The drain looks for due events. Partial, so that the index stays small however many events are stored.
        Index("ix_webhook_events_due", "next_attempt_at", postgresql_where=text("state IN ('pending', 'failed')")),
        # Operators and the drift walk look for the events about an object.
        Index(None, "object_id"),
        # Pruning and operators look for events by time. With one index, pruning would scan the pruned events each time.
        Index("ix_webhook_events_kept", "received_at", postgresql_where=text("payload IS NOT NULL")),
        Index("ix_webhook_events_pruned", "received_at", postgresql_where=text("payload IS NULL")),
        # Each scrape of the metrics counts the dead events.
        Index("ix_webhook_events_dead", "received_at", postgresql_where=text("state = 'dead'")),
        # The drain looks for events whose organization has been unlocked. Partial, because these are very few.
        Index("ix_webhook_events_waiting", "waits_for", postgresql_where=text("waits_for IS NOT NULL")),
        # Only an event that has not been merged can wait. Another would count as waiting forever.
        CheckConstraint("waits_for IS NULL OR state IN ('pending', 'failed')", name="waits_for"),
        # The drain may retry events in every other state, and without the payload it could not.
        CheckConstraint("payload IS NOT NULL OR state IN ('done', 'ignored', 'rejected')", name="payload"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    type: Mapped[str]
    object_id: Mapped[str | None]
    created: Mapped[datetime]
    api_version: Mapped[str | None]
    livemode: Mapped[bool]
    account: Mapped[str | None]
    payload: Mapped[bytes | None]
    """The raw bytes. jsonb would refuse a NUL or a lone surrogate, which Stripe may send.

    None after pruning, and for a type without a handler.
    """
    source: Mapped[str] = mapped_column(server_default="webhook")
    """``webhook`` for a signed delivery. ``gap`` for an event from Stripe's list that no delivery has brought yet."""
    state: Mapped[str] = mapped_column(server_default="pending")
    attempts: Mapped[int] = mapped_column(server_default="0")
    next_attempt_at: Mapped[datetime]
    waits_for: Mapped[str | None]
    """The organization that another session has locked. The drain leaves the event out until it is unlocked."""
    error: Mapped[str | None]
    received_at: Mapped[datetime]
    processed_at: Mapped[datetime | None]
