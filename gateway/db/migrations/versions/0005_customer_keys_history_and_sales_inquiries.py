"""Keys that create customers; who changed a plan, and a history that is only appended to; sales inquiries."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("organizations", sa.Column("customer_key", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("organizations", sa.Column("customer_key_since", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    op.drop_column("organizations", "customer_key_since")
    op.drop_column("organizations", "customer_key")
