"""Why the quantity of a subscription stays below its level."""

import sqlalchemy as sa
from alembic import op

revision = "0039"
down_revision = "0038"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("usage_levels", sa.Column("obstacle", sa.Text()))
    waits = sa.text("obstacle IS NOT NULL")
    op.create_index("ix_usage_levels_obstacle", "usage_levels", ["obstacle"], postgresql_where=waits)


def downgrade() -> None:
    op.drop_column("usage_levels", "obstacle")
