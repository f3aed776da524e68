"""Spend alerts, and when the spend reached them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "spend_alerts",
        sa.Column("organization_id", sa.Text, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("amounts", postgresql.ARRAY(sa.BigInteger), nullable=False),
        sa.Column("spend_limit", sa.BigInteger),
        sa.CheckConstraint("cardinality(amounts) <= 5", name=op.f("ck_spend_alerts_amounts")),
        sa.CheckConstraint("spend_limit > 0", name=op.f("ck_spend_alerts_spend_limit")),
        sa.PrimaryKeyConstraint("organization_id", name=op.f("pk_spend_alerts")),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_spend_alerts_organization_id")
        ),
    )
    op.create_table(
        "spend_crossings",
        sa.Column("organization_id", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.Column("period_start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("period_end", sa.DateTime(timezone=True), nullable=False),
        sa.Column("crossed_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("kind IN ('alert', 'limit')", name=op.f("ck_spend_crossings_kind")),
        sa.PrimaryKeyConstraint("organization_id", "kind", "amount", "period_start", name=op.f("pk_spend_crossings")),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_spend_crossings_organization_id")
        ),
    )
    op.create_table(
        "spend_checks",
        sa.Column("organization_id", sa.Text, nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("organization_id", name=op.f("pk_spend_checks")),
    )


def downgrade() -> None:
    op.drop_table("spend_checks")
    op.drop_table("spend_crossings")
    op.drop_table("spend_alerts")
