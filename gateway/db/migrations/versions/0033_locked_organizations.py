"""Events that wait for an organization that another session has locked."""

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("webhook_events", sa.Column("waits_for", sa.Text))
    condition = "waits_for IS NULL OR state IN ('pending', 'failed')"
    op.create_check_constraint(op.f("ck_webhook_events_waits_for"), "webhook_events", condition)
    waits = sa.text("waits_for IS NOT NULL")
    op.create_index("ix_webhook_events_waiting", "webhook_events", ["waits_for"], postgresql_where=waits)


def downgrade() -> None:
    op.drop_column("webhook_events", "waits_for")
