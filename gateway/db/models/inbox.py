"""The inbox: every webhook event that was acknowledged, as it arrived."""

from datetime import datetime

from sqlalchemy import CheckConstraint, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from gateway.db.models.base import Base


class WebhookEvent(Base):
    """A stored event and its state.

    pending   to be merged
    failed    to be tried again at ``next_attempt_at``
    done      merged (or found stale: then there was nothing to do)
    ignored   a type without a handler, or a customer that is none of ours
    rejected  of another mode or account than ours: never applied
    dead      failed too often; redelivery or a replay revives it
    """

    __tablename__ = "webhook_events"
    __table_args__ = (
        CheckConstraint("state IN ('pending', 'failed', 'done', 'ignored', 'rejected', 'dead')", name="state"),
        CheckConstraint("source IN ('webhook', 'gap')", name="source"),
        # what no delivery ever brought, for operators and metrics; partial, since it is hardly anything
        Index("ix_webhook_events_gap", "received_at", postgresql_where=text("source = 'gap'")),
        # what the drain looks for; partial, so that it stays small however many events are stored
        Index("ix_webhook_events_due", "next_attempt_at", postgresql_where=text("state IN ('pending', 'failed')")),
        Index(None, "object_id"),
        # by time, for pruning and for people; in two parts, so that pruning does not wade through what is pruned
        Index("ix_webhook_events_kept", "received_at", postgresql_where=text("payload IS NOT NULL")),
        Index("ix_webhook_events_pruned", "received_at", postgresql_where=text("payload IS NULL")),
        # counted at each scrape of the metrics
        Index("ix_webhook_events_dead", "received_at", postgresql_where=text("state = 'dead'")),
        # whatever may be worked off once more still has what it takes
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
    """The raw bytes: jsonb would refuse a NUL or a lone surrogate that Stripe let through. None once pruned."""
    source: Mapped[str] = mapped_column(server_default="webhook")
    """What brought it: ``webhook``, a signed delivery; ``gap``, Stripe's list of events, and no delivery since."""
    state: Mapped[str] = mapped_column(server_default="pending")
    attempts: Mapped[int] = mapped_column(server_default="0")
    next_attempt_at: Mapped[datetime]
    error: Mapped[str | None]
    received_at: Mapped[datetime]
    processed_at: Mapped[datetime | None]
