"""Add the time until which a process that stopped calling Stripe shows as open."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("stripe_budget", sa.Column("breaker_open_until", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    op.drop_column("stripe_budget", "breaker_open_until")
