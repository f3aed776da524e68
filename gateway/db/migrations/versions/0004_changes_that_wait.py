"""Add changes that wait for a payment, the amounts quoted and charged, and idempotency keys."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("subscriptions", sa.Column("pending_until", sa.DateTime(timezone=True), nullable=True))
    op.add_column("plan_changes", sa.Column("quoted", sa.BigInteger(), nullable=True))
    op.add_column("plan_changes", sa.Column("charged", sa.BigInteger(), nullable=True))
    op.add_column("plan_changes", sa.Column("client_secret", sa.Text(), nullable=True))
    op.create_check_constraint(
        op.f("ck_plan_changes_client_secret"), "plan_changes", "client_secret IS NULL OR state = 'requires_action'"
    )
    op.create_index("ix_plan_changes_mischarged", "plan_changes", ["id"], postgresql_where=sa.text("charged <> quoted"))
    op.create_table(
        "idempotency_keys",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("change_id", sa.Text(), nullable=True),
        sa.Column("status", sa.BigInteger(), nullable=True),
        sa.Column("location", sa.Text(), nullable=True),
        sa.Column("body", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("(status IS NULL) = (body IS NULL)", name=op.f("ck_idempotency_keys_answer")),
        sa.ForeignKeyConstraint(["change_id"], ["plan_changes.id"], name=op.f("fk_idempotency_keys_change_id")),
        sa.PrimaryKeyConstraint("organization_id", "key", name=op.f("pk_idempotency_keys")),
    )
    op.create_index(op.f("ix_idempotency_keys_created_at"), "idempotency_keys", ["created_at"])


def downgrade() -> None:
    op.drop_table("idempotency_keys")
    op.drop_index("ix_plan_changes_mischarged", table_name="plan_changes")
    op.drop_constraint(op.f("ck_plan_changes_client_secret"), "plan_changes")
    op.drop_column("plan_changes", "client_secret")
    op.drop_column("plan_changes", "charged")
    op.drop_column("plan_changes", "quoted")
    op.drop_column("subscriptions", "pending_until")
