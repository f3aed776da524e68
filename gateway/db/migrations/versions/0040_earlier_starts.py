"""When a plan began or ended at Stripe, and an index that finds the usage since then."""

import sqlalchemy as sa
from alembic import op

revision = "0040"
down_revision = "0039"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("plan_history", sa.Column("began_at", sa.DateTime(timezone=True)))
    op.create_index(op.f("ix_usage_events_occurred_at"), "usage_events", ["occurred_at"], postgresql_using="brin")


def downgrade() -> None:
    op.drop_index(op.f("ix_usage_events_occurred_at"), table_name="usage_events")
    op.drop_column("plan_history", "began_at")
