"""Index the organizations on a price of no plan, which each scrape of the metrics counts."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_organization_plans_unmapped",
        "organization_plans",
        ["organization_id"],
        postgresql_where=sa.text("requested_plan = 'unmapped'"),
    )


def downgrade() -> None:
    op.drop_index("ix_organization_plans_unmapped", table_name="organization_plans")
