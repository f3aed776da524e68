"""Add the amounts due immediately, as quoted and as invoiced."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("plan_changes", sa.Column("quoted_due_now", sa.BigInteger(), nullable=True))
    op.add_column("plan_changes", sa.Column("due_now", sa.BigInteger(), nullable=True))
    op.drop_index("ix_plan_changes_mischarged", table_name="plan_changes")
    mischarged = sa.text("charged <> quoted OR due_now <> quoted_due_now")
    op.create_index("ix_plan_changes_mischarged", "plan_changes", ["id"], postgresql_where=mischarged)


def downgrade() -> None:
    op.drop_index("ix_plan_changes_mischarged", table_name="plan_changes")
    op.create_index("ix_plan_changes_mischarged", "plan_changes", ["id"], postgresql_where=sa.text("charged <> quoted"))
    op.drop_column("plan_changes", "due_now")
    op.drop_column("plan_changes", "quoted_due_now")
