"""The reasons for which organizations cancelled their plans."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("plan_changes", sa.Column("cancellation", JSONB))


def downgrade() -> None:
    op.drop_column("plan_changes", "cancellation")
