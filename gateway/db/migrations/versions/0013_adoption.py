"""Add runs that adopt an existing account, and the adopted organizations that still wait for background work."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_constraint(op.f("ck_reconciliations_kind"), "reconciliations")
    op.create_check_constraint(
        op.f("ck_reconciliations_kind"), "reconciliations", "kind IN ('gap', 'drift', 'adoption')"
    )
    op.create_table(
        "adoptions",
        sa.Column("organization_id", sa.Text, nullable=False),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name=op.f("fk_adoptions_organization_id")),
        sa.PrimaryKeyConstraint("organization_id", name=op.f("pk_adoptions")),
    )


def downgrade() -> None:
    op.drop_table("adoptions")
    op.execute("DELETE FROM reconciliations WHERE kind = 'adoption'")
    op.drop_constraint(op.f("ck_reconciliations_kind"), "reconciliations")
    op.create_check_constraint(op.f("ck_reconciliations_kind"), "reconciliations", "kind IN ('gap', 'drift')")
