"""What checks measure, such as the probe's durations."""

import sqlalchemy as sa
from alembic import op

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("checks", sa.Column("seconds", sa.Double))


def downgrade() -> None:
    op.drop_column("checks", "seconds")
