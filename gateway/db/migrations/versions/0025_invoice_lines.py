"""The lines of invoices, the comparison with charges calculated ahead, and approvals that a payment waits for."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("invoices", sa.Column("action_required", sa.Boolean))
    op.add_column("invoices", sa.Column("lines", JSONB))
    op.add_column("invoices", sa.Column("calculated_due", sa.BigInteger))
    op.add_column("invoices", sa.Column("differences", JSONB, nullable=False, server_default="[]"))
    op.create_check_constraint(
        op.f("ck_invoices_differences"), "invoices", "calculated_due IS NOT NULL OR differences = '[]'"
    )
    op.create_index("ix_invoices_differing", "invoices", ["created"], postgresql_where=sa.text("differences <> '[]'"))
    op.add_column("upcoming_invoices", sa.Column("total", sa.BigInteger))
    op.add_column("upcoming_invoices", sa.Column("lines", JSONB))


def downgrade() -> None:
    op.drop_column("upcoming_invoices", "lines")
    op.drop_column("upcoming_invoices", "total")
    op.drop_index("ix_invoices_differing", "invoices")
    op.drop_constraint(op.f("ck_invoices_differences"), "invoices", type_="check")
    for column in ("differences", "calculated_due", "lines", "action_required"):
        op.drop_column("invoices", column)
