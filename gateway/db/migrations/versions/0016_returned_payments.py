"""Add charges that were refunded or disputed, and what the plan table shows of them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "charges",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("organization_id", sa.Text, nullable=False),
        sa.Column("invoice_id", sa.Text),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.Column("amount_refunded", sa.BigInteger, nullable=False),
        sa.Column("dispute", sa.Text),
        sa.Column("amount_lost", sa.BigInteger, nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("as_of", sa.DateTime(timezone=True)),
        sa.Column("source", sa.Text),
        sa.Column("rank", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("trail", ARRAY(sa.Text), nullable=False, server_default="{}"),
        sa.Column("revision", sa.BigInteger, nullable=False, server_default="0"),
        sa.PrimaryKeyConstraint("id", name="pk_charges"),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name="fk_charges_organization_id"),
        sa.CheckConstraint("dispute IN ('open', 'lost')", name="ck_charges_dispute"),
    )
    op.create_index("ix_charges_organization_id", "charges", ["organization_id"])
    op.add_column("organization_plans", sa.Column("returned_payments", JSONB, nullable=False, server_default="[]"))


def downgrade() -> None:
    op.drop_column("organization_plans", "returned_payments")
    op.drop_table("charges")
