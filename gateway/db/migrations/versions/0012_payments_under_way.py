"""Store whether a payment of an invoice is in progress, and index the unpaid invoices that decide the standing."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("invoices", sa.Column("payment_under_way", sa.Boolean))
    op.create_index(
        "ix_invoices_unpaid",
        "invoices",
        ["organization_id"],
        postgresql_where=sa.text("status IN ('open', 'uncollectible')"),
    )


def downgrade() -> None:
    op.drop_index("ix_invoices_unpaid", table_name="invoices")
    op.drop_column("invoices", "payment_under_way")
