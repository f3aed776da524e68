"""The interval that a change moves a subscription to, and the taxes that Stripe computes."""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("plan_changes", sa.Column("interval", sa.Text))
    op.create_check_constraint(op.f("ck_plan_changes_interval"), "plan_changes", "interval IN ('month', 'year')")
    op.add_column("organizations", sa.Column("country", sa.Text))
    op.add_column("subscriptions", sa.Column("automatic_tax", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("invoices", sa.Column("taxes", sa.BigInteger))


def downgrade() -> None:
    op.drop_column("invoices", "taxes")
    op.drop_column("subscriptions", "automatic_tax")
    op.drop_column("organizations", "country")
    op.drop_column("plan_changes", "interval")
