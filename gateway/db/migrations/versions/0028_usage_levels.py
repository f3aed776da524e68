"""Levels that the quantities of subscriptions follow."""

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "usage_levels",
        sa.Column("organization_id", sa.Text, nullable=False),
        sa.Column("unit", sa.Text, nullable=False),
        sa.Column("value", sa.BigInteger, nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True)),
        sa.Column("changed_at", sa.DateTime(timezone=True)),
        sa.Column("quoted_until", sa.DateTime(timezone=True)),
        sa.CheckConstraint("value >= 0", name=op.f("ck_usage_levels_value")),
        sa.PrimaryKeyConstraint("organization_id", "unit", name=op.f("pk_usage_levels")),
    )
    due = sa.text("due_at IS NOT NULL")
    op.create_index("ix_usage_levels_due", "usage_levels", ["due_at"], postgresql_where=due)


def downgrade() -> None:
    op.drop_table("usage_levels")
