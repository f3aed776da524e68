"""The trials that organizations have had, and the operation that follows one."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

KINDS = "'set_default_payment_method', 'delete_payment_method', 'pay_invoice', 'abandon_change', 'move_prices'"

# What the tables show of earlier trials. The customer of another program counts as one that has had its trial.
EARLIER = """
    INSERT INTO trials (organization_id, reason, created_at)
    SELECT organization_id, min(reason), now() FROM (
        SELECT organization_id, 'adopted' AS reason FROM plan_history WHERE cause = 'adopted'
        UNION SELECT organization_id, 'adopted' FROM adoptions
        UNION SELECT organization_id, 'at_stripe' FROM subscriptions
            WHERE trial_end IS NOT NULL AND (had_plan OR change_id IS NOT NULL)
    ) AS earlier GROUP BY organization_id
"""


def upgrade() -> None:
    op.create_table(
        "trials",
        sa.Column("organization_id", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("change_id", sa.Text),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("reason IN ('started', 'adopted', 'at_stripe')", name=op.f("ck_trials_reason")),
        sa.CheckConstraint("(reason = 'started') = (change_id IS NOT NULL)", name=op.f("ck_trials_change")),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name=op.f("fk_trials_organization_id")),
        sa.ForeignKeyConstraint(["change_id"], ["plan_changes.id"], name=op.f("fk_trials_change_id")),
        sa.PrimaryKeyConstraint("organization_id", name=op.f("pk_trials")),
    )
    op.execute(EARLIER)
    op.add_column("subscriptions", sa.Column("missing_payment_method", sa.Text))
    op.drop_constraint(op.f("ck_billing_intents_kind"), "billing_intents", type_="check")
    op.create_check_constraint(
        op.f("ck_billing_intents_kind"), "billing_intents", f"kind IN ({KINDS}, 'return_to_floor')"
    )


def downgrade() -> None:
    op.execute("DELETE FROM billing_intents WHERE kind = 'return_to_floor'")
    op.drop_constraint(op.f("ck_billing_intents_kind"), "billing_intents", type_="check")
    op.create_check_constraint(op.f("ck_billing_intents_kind"), "billing_intents", f"kind IN ({KINDS})")
    op.drop_column("subscriptions", "missing_payment_method")
    op.drop_table("trials")
