"""Longer trials, which are grants that move the end of a trial at Stripe."""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

KINDS = (
    "'set_default_payment_method', 'delete_payment_method', 'pay_invoice', 'abandon_change', 'move_prices',"
    " 'return_to_floor'"
)


def upgrade() -> None:
    op.add_column("grants", sa.Column("extends_trial", sa.Boolean, nullable=False, server_default=sa.false()))
    replace_index(["organization_id", "extends_trial"])
    replace_kinds(f"{KINDS}, 'extend_trial'")


def downgrade() -> None:
    # The older release takes each row for a complimentary plan.
    op.execute("UPDATE grants SET ended_at = now() WHERE extends_trial AND ended_at IS NULL")
    op.execute("DELETE FROM billing_intents WHERE kind = 'extend_trial'")
    replace_kinds(KINDS)
    replace_index(["organization_id"])
    op.drop_column("grants", "extends_trial")


def replace_index(columns: list[str]) -> None:
    """Replace the index of running grants by one on these columns."""
    op.drop_index("uq_grants_running", "grants")
    op.create_index("uq_grants_running", "grants", columns, unique=True, postgresql_where=sa.text("ended_at IS NULL"))


def replace_kinds(kinds: str) -> None:
    """Allow these kinds of billing intents."""
    op.drop_constraint(op.f("ck_billing_intents_kind"), "billing_intents", type_="check")
    op.create_check_constraint(op.f("ck_billing_intents_kind"), "billing_intents", f"kind IN ({kinds})")
