"""The trace of a plan change, which its events continue."""

import sqlalchemy as sa
from alembic import op

revision = "0037"
down_revision = "0036"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("plan_changes", sa.Column("traceparent", sa.Text))


def downgrade() -> None:
    op.drop_column("plan_changes", "traceparent")
