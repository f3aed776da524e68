"""Add the payment method that the intent of a payment charges."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("billing_intents", sa.Column("payment_method_id", sa.Text))


def downgrade() -> None:
    op.drop_column("billing_intents", "payment_method_id")
