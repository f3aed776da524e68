"""Add the discounts of subscriptions and customers."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "discounts",
        sa.Column("holder_id", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("entries", JSONB(), nullable=False),
        sa.Column("as_of", sa.DateTime(timezone=True)),
        sa.Column("source", sa.Text()),
        sa.Column("rank", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("trail", ARRAY(sa.Text()), nullable=False, server_default="{}"),
        sa.Column("revision", sa.BigInteger(), nullable=False, server_default="0"),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name=op.f("fk_discounts_organization_id")),
        sa.PrimaryKeyConstraint("holder_id", name=op.f("pk_discounts")),
    )


def downgrade() -> None:
    op.drop_table("discounts")
