"""The outbox of notifications. It takes over the deliveries of the sales inquiries."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

# An inquiry that waits for no attempt and had none was stored without a receiver. `gateway sales deliver` sends it.
TAKE_OVER = """
    INSERT INTO notifications
        (id, receiver, organization_id, type, data, created_at, attempts, next_attempt_at, retried_until, error,
         delivered_at)
    SELECT id, 'sales', organization_id, 'sales_inquiry.created',
        jsonb_build_object('id', id, 'organization_id', organization_id, 'name', name, 'email', email,
            'company', company, 'message', message,
            'created_at', to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')),
        created_at, attempts, next_attempt_at, created_at + interval '3 days', error, delivered_at
    FROM sales_inquiries WHERE attempts > 0 OR next_attempt_at IS NOT NULL
    ORDER BY created_at, id
"""
GIVE_BACK = """
    UPDATE sales_inquiries SET attempts = sent.attempts, error = sent.error, delivered_at = sent.delivered_at
    FROM notifications AS sent WHERE sent.id = sales_inquiries.id
"""
# No task has this name any more. A new database has no jobs yet, and not even their table.
FORGET_JOBS = """
    DO $$ BEGIN
        IF to_regclass('procrastinate_jobs') IS NOT NULL THEN
            DELETE FROM procrastinate_jobs WHERE task_name = 'gateway.deliver_inquiry' AND status = 'todo';
        END IF;
    END $$
"""
DELIVERY = ("attempts", "next_attempt_at", "error", "delivered_at")


def upgrade() -> None:
    op.create_table(
        "notifications",
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("receiver", sa.Text, nullable=False),
        sa.Column("organization_id", sa.Text, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("data", sa.dialects.postgresql.JSONB, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attempts", sa.BigInteger, server_default="0", nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True)),
        sa.Column("retried_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("error", sa.Text),
        sa.Column("delivered_at", sa.DateTime(timezone=True)),
        sa.CheckConstraint("attempts >= 0", name=op.f("ck_notifications_attempts")),
        sa.CheckConstraint("delivered_at IS NULL OR next_attempt_at IS NULL", name=op.f("ck_notifications_delivered")),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_notifications_organization_id")
        ),
        sa.PrimaryKeyConstraint("position", name=op.f("pk_notifications")),
    )
    op.create_index(op.f("ix_notifications_id"), "notifications", ["id"], unique=True)
    op.create_index(op.f("ix_notifications_created_at"), "notifications", ["created_at"])
    op.create_index(
        "ix_notifications_undelivered",
        "notifications",
        ["receiver", "organization_id", "position"],
        postgresql_where=sa.text("delivered_at IS NULL"),
    )
    op.create_table(
        "receiver_states",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("failures", sa.BigInteger, server_default="0", nullable=False),
        sa.Column("failing_since", sa.DateTime(timezone=True)),
        sa.Column("paused_until", sa.DateTime(timezone=True)),
        sa.Column("error", sa.Text),
        sa.CheckConstraint("failures >= 0", name=op.f("ck_receiver_states_failures")),
        sa.CheckConstraint("(failures = 0) = (failing_since IS NULL)", name=op.f("ck_receiver_states_failing")),
        sa.CheckConstraint("paused_until IS NULL OR failures > 0", name=op.f("ck_receiver_states_paused")),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_receiver_states")),
    )
    for table in ("invoices", "subscriptions"):
        op.add_column(table, sa.Column("announced", sa.ARRAY(sa.Text), server_default="{}", nullable=False))
    op.execute(TAKE_OVER)
    op.execute(FORGET_JOBS)
    op.drop_index("ix_sales_inquiries_undelivered", "sales_inquiries")
    for column in DELIVERY:
        op.drop_column("sales_inquiries", column)


def downgrade() -> None:
    op.add_column("sales_inquiries", sa.Column("attempts", sa.BigInteger, server_default="0", nullable=False))
    op.add_column("sales_inquiries", sa.Column("next_attempt_at", sa.DateTime(timezone=True)))
    op.add_column("sales_inquiries", sa.Column("error", sa.Text))
    op.add_column("sales_inquiries", sa.Column("delivered_at", sa.DateTime(timezone=True)))
    op.create_check_constraint(op.f("ck_sales_inquiries_attempts"), "sales_inquiries", "attempts >= 0")
    op.create_check_constraint(
        op.f("ck_sales_inquiries_delivered"), "sales_inquiries", "delivered_at IS NULL OR next_attempt_at IS NULL"
    )
    op.create_index(
        "ix_sales_inquiries_undelivered",
        "sales_inquiries",
        ["created_at"],
        postgresql_where=sa.text("delivered_at IS NULL"),
    )
    op.execute(GIVE_BACK)
    for table in ("invoices", "subscriptions"):
        op.drop_column(table, "announced")
    op.drop_table("receiver_states")
    op.drop_table("notifications")
