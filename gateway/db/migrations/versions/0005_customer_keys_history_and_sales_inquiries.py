"""Add the keys that create customers, the authors of plan changes, an append-only history, and sales inquiries."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("organizations", sa.Column("customer_key", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("organizations", sa.Column("customer_key_since", sa.DateTime(timezone=True), nullable=True))
    op.add_column("plan_history", sa.Column("actor_type", sa.Text(), server_default="system", nullable=False))
    op.add_column("plan_history", sa.Column("actor", sa.Text(), nullable=True))
    op.add_column("plan_history", sa.Column("change_id", sa.Text(), nullable=True))
    op.create_foreign_key(op.f("fk_plan_history_change_id"), "plan_history", "plan_changes", ["change_id"], ["id"])
    op.create_check_constraint(
        op.f("ck_plan_history_actor_type"), "plan_history", "actor_type IN ('user', 'sales', 'stripe', 'system')"
    )
    op.create_check_constraint(
        op.f("ck_plan_history_user"),
        "plan_history",
        "(actor IS NULL) = (change_id IS NULL) AND (actor IS NULL OR actor_type = 'user')",
    )
    # We rebuild the plan table and answer customers from the history. An altered row would falsify both.
    op.execute("""
        CREATE FUNCTION refuse_to_alter_plan_history() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'plan_history is only appended to' USING ERRCODE = 'restrict_violation';
        END $$
    """)
    op.execute("""
        CREATE TRIGGER plan_history_is_only_appended_to BEFORE UPDATE OR DELETE ON plan_history
        FOR EACH ROW EXECUTE FUNCTION refuse_to_alter_plan_history()
    """)
    op.create_table(
        "sales_inquiries",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("company", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attempts", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("char_length(message) BETWEEN 1 AND 5000", name=op.f("ck_sales_inquiries_message")),
        sa.CheckConstraint("attempts >= 0", name=op.f("ck_sales_inquiries_attempts")),
        sa.CheckConstraint(
            "delivered_at IS NULL OR next_attempt_at IS NULL", name=op.f("ck_sales_inquiries_delivered")
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_sales_inquiries_organization_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sales_inquiries")),
    )
    op.create_index(
        op.f("ix_sales_inquiries_organization_id_created_at"), "sales_inquiries", ["organization_id", "created_at"]
    )
    op.create_index(
        "ix_sales_inquiries_undelivered",
        "sales_inquiries",
        ["created_at"],
        postgresql_where=sa.text("delivered_at IS NULL"),
    )


def downgrade() -> None:
    op.drop_table("sales_inquiries")
    op.execute("DROP TRIGGER plan_history_is_only_appended_to ON plan_history")
    op.execute("DROP FUNCTION refuse_to_alter_plan_history")
    op.drop_column("plan_history", "change_id")
    op.drop_column("plan_history", "actor")
    op.drop_column("plan_history", "actor_type")
    op.drop_column("organizations", "customer_key_since")
    op.drop_column("organizations", "customer_key")
