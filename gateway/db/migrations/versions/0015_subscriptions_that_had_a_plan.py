"""Remember which subscriptions had a plan, so that one without a plan's product is unmapped and never ignored."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("subscriptions", sa.Column("had_plan", sa.Boolean, nullable=False, server_default=sa.text("false")))
    # The plan table shows the subscriptions that had a plan. Other ones with a plan are marked by their next merge.
    op.execute(
        "UPDATE subscriptions SET had_plan = true FROM organization_plans"
        " WHERE organization_plans.subscription_id = subscriptions.id"
    )


def downgrade() -> None:
    op.drop_column("subscriptions", "had_plan")
