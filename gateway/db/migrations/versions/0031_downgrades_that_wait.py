"""Downgrades that wait until Stripe has counted the usage."""

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None

STATES = "'open', 'sending', 'sent', 'refused', 'not_billed'"
ENDED = "'sent', 'refused'"


def upgrade() -> None:
    op.add_column("organization_plans", sa.Column("leaving", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("plan_changes", sa.Column("left_at", sa.DateTime(timezone=True)))
    replace_checks(f"{STATES}, 'invoiced'", f"{ENDED}, 'invoiced'")


def downgrade() -> None:
    # The older release does not know the state. Stripe bills these reports, so they count as sent.
    op.execute("UPDATE usage_reports SET state = 'sent' WHERE state = 'invoiced'")
    replace_checks(STATES, ENDED)
    op.drop_column("plan_changes", "left_at")
    op.drop_column("organization_plans", "leaving")


def replace_checks(states: str, ended: str) -> None:
    """Allow these states of reports, and say which of them are final."""
    for name, rule in (("state", f"state IN ({states})"), ("ended", f"(ended_at IS NOT NULL) = (state IN ({ended}))")):
        op.drop_constraint(op.f(f"ck_usage_reports_{name}"), "usage_reports", type_="check")
        op.create_check_constraint(op.f(f"ck_usage_reports_{name}"), "usage_reports", rule)
