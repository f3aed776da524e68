"""Add reconciliation runs, the shared budget of calls to Stripe, and the source of each event in the inbox."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "reconciliations",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cursor", sa.Text(), nullable=True),
        sa.Column("counts", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("kind IN ('gap', 'drift')", name=op.f("ck_reconciliations_kind")),
        sa.CheckConstraint("finished_at IS NULL OR until IS NOT NULL", name=op.f("ck_reconciliations_finished")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reconciliations")),
    )
    op.create_index(
        "uq_reconciliations_unfinished",
        "reconciliations",
        ["kind"],
        unique=True,
        postgresql_where=sa.text("finished_at IS NULL"),
    )
    op.create_index(op.f("ix_reconciliations_kind_started_at"), "reconciliations", ["kind", "started_at"], unique=False)
    op.create_table(
        "seen_at_stripe",
        sa.Column("reconciliation_id", sa.BigInteger(), nullable=False),
        sa.Column("object_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["reconciliation_id"],
            ["reconciliations.id"],
            name=op.f("fk_seen_at_stripe_reconciliation_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("reconciliation_id", "object_id", name=op.f("pk_seen_at_stripe")),
    )
    op.create_table(
        "stripe_budget",
        sa.Column("id", sa.BigInteger(), autoincrement=False, server_default="1", nullable=False),
        sa.Column("used_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("paused_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("strikes", sa.BigInteger(), server_default="0", nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_stripe_budget_one_row")),
        sa.CheckConstraint("strikes >= 0", name=op.f("ck_stripe_budget_strikes")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stripe_budget")),
    )
    # PostgreSQL rewrites no rows for a constant default, so this is fast however many events are stored
    op.add_column("webhook_events", sa.Column("source", sa.Text(), server_default="webhook", nullable=False))
    op.create_check_constraint(op.f("ck_webhook_events_source"), "webhook_events", "source IN ('webhook', 'gap')")
    op.create_index(
        "ix_webhook_events_gap",
        "webhook_events",
        ["received_at"],
        unique=False,
        postgresql_where=sa.text("source = 'gap'"),
    )


def downgrade() -> None:
    op.drop_index("ix_webhook_events_gap", table_name="webhook_events", postgresql_where=sa.text("source = 'gap'"))
    op.drop_column("webhook_events", "source")
    op.drop_table("stripe_budget")
    op.drop_table("seen_at_stripe")
    op.drop_index(op.f("ix_reconciliations_kind_started_at"), table_name="reconciliations")
    op.drop_index(
        "uq_reconciliations_unfinished",
        table_name="reconciliations",
        postgresql_where=sa.text("finished_at IS NULL"),
    )
    op.drop_table("reconciliations")
