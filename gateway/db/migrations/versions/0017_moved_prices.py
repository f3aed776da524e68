"""The operation that moves a subscription to the catalogue's present prices."""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

KINDS = "'set_default_payment_method', 'delete_payment_method', 'pay_invoice', 'abandon_change'"


def upgrade() -> None:
    op.drop_constraint(op.f("ck_billing_intents_kind"), "billing_intents", type_="check")
    op.create_check_constraint(op.f("ck_billing_intents_kind"), "billing_intents", f"kind IN ({KINDS}, 'move_prices')")


def downgrade() -> None:
    op.execute("DELETE FROM billing_intents WHERE kind = 'move_prices'")
    op.drop_constraint(op.f("ck_billing_intents_kind"), "billing_intents", type_="check")
    op.create_check_constraint(op.f("ck_billing_intents_kind"), "billing_intents", f"kind IN ({KINDS})")
