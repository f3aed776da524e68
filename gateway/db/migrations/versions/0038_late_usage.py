"""The time at which Stripe counts usage that was sent after its period was invoiced."""

import sqlalchemy as sa
from alembic import op

revision = "0038"
down_revision = "0037"
branch_labels = None
depends_on = None

RULE = "moved_to IS NULL OR (moved_to > occurred_at AND aggregation <> 'last')"


def upgrade() -> None:
    op.add_column("usage_reports", sa.Column("moved_to", sa.DateTime(timezone=True)))
    op.create_check_constraint(op.f("ck_usage_reports_moved_to"), "usage_reports", RULE)


def downgrade() -> None:
    op.drop_column("usage_reports", "moved_to")
