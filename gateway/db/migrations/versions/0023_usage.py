"""Usage events, and the reports that add them up for Stripe's meters."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "usage_events",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("organization_id", sa.Text, nullable=False),
        sa.Column("meter", sa.Text, nullable=False),
        sa.Column("quantity", sa.BigInteger, nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("report_id", sa.Uuid, nullable=False),
        sa.CheckConstraint("quantity >= 0", name=op.f("ck_usage_events_quantity")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_usage_events")),
    )
    op.create_table(
        "usage_reports",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("organization_id", sa.Text, nullable=False),
        sa.Column("meter", sa.Text, nullable=False),
        sa.Column("aggregation", sa.Text, nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("quantity", sa.BigInteger, nullable=False),
        sa.Column("events", sa.BigInteger, nullable=False),
        sa.Column("sent_quantity", sa.BigInteger),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("attempts", sa.BigInteger, server_default="0", nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("uncertain_since", sa.DateTime(timezone=True)),
        sa.Column("reason", sa.Text),
        sa.Column("error", sa.Text),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
        sa.CheckConstraint(
            "state IN ('open', 'sending', 'sent', 'refused', 'not_billed')", name=op.f("ck_usage_reports_state")
        ),
        sa.CheckConstraint("(reason IS NOT NULL) = (state = 'refused')", name=op.f("ck_usage_reports_reason")),
        sa.CheckConstraint(
            "(ended_at IS NOT NULL) = (state IN ('sent', 'refused'))", name=op.f("ck_usage_reports_ended")
        ),
        sa.CheckConstraint(
            "sent_quantity IS NULL OR sent_quantity = quantity", name=op.f("ck_usage_reports_sent_quantity")
        ),
        sa.CheckConstraint(
            "(sent_quantity IS NULL) = (state IN ('open', 'not_billed'))", name=op.f("ck_usage_reports_sealed")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_usage_reports")),
    )
    unsent = sa.text("state IN ('open', 'sending')")
    op.create_index("ix_usage_reports_due", "usage_reports", ["next_attempt_at"], postgresql_where=unsent)
    refused = sa.text("state = 'refused'")
    op.create_index("ix_usage_reports_refused", "usage_reports", ["ended_at"], postgresql_where=refused)
    op.create_index(
        op.f("ix_usage_reports_organization_id_starts_at"), "usage_reports", ["organization_id", "starts_at"]
    )

    op.create_table(
        "usage_estimates",
        sa.Column("organization_id", sa.Text, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("amounts", postgresql.JSONB, nullable=False),
        sa.Column("calculated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("organization_id", name=op.f("pk_usage_estimates")),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_usage_estimates_organization_id")
        ),
    )


def downgrade() -> None:
    op.drop_table("usage_estimates")
    op.drop_table("usage_reports")
    op.drop_table("usage_events")
