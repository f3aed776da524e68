"""Allow payloads to be pruned, index events by time, and add the results of periodic checks."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.alter_column("webhook_events", "payload", nullable=True)
    op.create_check_constraint(
        op.f("ck_webhook_events_payload"),
        "webhook_events",
        "payload IS NOT NULL OR state IN ('done', 'ignored', 'rejected')",
    )
    op.create_index(
        "ix_webhook_events_kept", "webhook_events", ["received_at"], postgresql_where=sa.text("payload IS NOT NULL")
    )
    op.create_index(
        "ix_webhook_events_pruned", "webhook_events", ["received_at"], postgresql_where=sa.text("payload IS NULL")
    )
    op.create_index(
        "ix_webhook_events_dead", "webhook_events", ["received_at"], postgresql_where=sa.text("state = 'dead'")
    )
    op.create_table(
        "checks",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.Column("checked_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_checks")),
    )


def downgrade() -> None:
    op.drop_table("checks")
    op.drop_index("ix_webhook_events_dead", table_name="webhook_events")
    op.drop_index("ix_webhook_events_pruned", table_name="webhook_events")
    op.drop_index("ix_webhook_events_kept", table_name="webhook_events")
    op.drop_constraint(op.f("ck_webhook_events_payload"), "webhook_events")
    op.execute("DELETE FROM webhook_events WHERE payload IS NULL")
    op.alter_column("webhook_events", "payload", nullable=False)
