"""Add the fields that matter for objects of other programs. Reconciliation fills the columns of existing rows."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

COLUMNS: dict[str, list[sa.Column[Any]]] = {
    "organizations": [
        sa.Column("default_source_id", sa.Text),
        sa.Column("currency", sa.Text),
    ],
    "payment_methods": [
        sa.Column("type", sa.Text, nullable=False, server_default="card"),
        sa.Column("label", sa.Text, nullable=False, server_default=""),
    ],
    "subscriptions": [
        sa.Column("cancel_at_period_end", sa.Boolean, nullable=False, server_default=sa.text("false")),
        sa.Column("default_payment_method_id", sa.Text),
        sa.Column("collection_method", sa.Text, nullable=False, server_default="charge_automatically"),
        sa.Column("billing_mode", sa.Text, nullable=False, server_default="flexible"),
        sa.Column("schedule_id", sa.Text),
        sa.Column("pause_behavior", sa.Text),
        sa.Column("paused_until", sa.DateTime(timezone=True)),
        sa.Column("trial_end", sa.DateTime(timezone=True)),
        sa.Column("discount_ids", ARRAY(sa.Text), nullable=False, server_default="{}"),
    ],
    "invoices": [
        sa.Column("collection_method", sa.Text, nullable=False, server_default="charge_automatically"),
        sa.Column("due_date", sa.DateTime(timezone=True)),
        # Before this migration, an open invoice without a next attempt counted as tried.
        sa.Column("attempted", sa.Boolean, nullable=False, server_default=sa.text("true")),
        sa.Column("attempt_count", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("auto_advance", sa.Boolean, nullable=False, server_default=sa.text("false")),
    ],
}


def upgrade() -> None:
    for table, columns in COLUMNS.items():
        for column in columns:
            op.add_column(table, column)


def downgrade() -> None:
    for table, columns in COLUMNS.items():
        for column in columns:
            op.drop_column(table, column.name)
