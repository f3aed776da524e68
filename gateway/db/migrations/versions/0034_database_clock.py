"""The function that returns the time for all processes."""

from alembic import op

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Tests set ``gateway.now``. Otherwise it is empty, or unknown to PostgreSQL.
    op.execute("""
        CREATE FUNCTION gateway_now() RETURNS timestamptz LANGUAGE sql AS $$
            SELECT COALESCE(NULLIF(current_setting('gateway.now', true), '')::timestamptz, clock_timestamp())
        $$
    """)


def downgrade() -> None:
    op.execute("DROP FUNCTION gateway_now()")
