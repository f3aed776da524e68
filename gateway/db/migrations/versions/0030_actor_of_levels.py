"""The actor ``usage`` in the plan history, for a quantity that follows a level."""

from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None

TYPES = "'user', 'sales', 'stripe', 'system', 'operator'"
NAMED = "(actor IS NULL) = (change_id IS NULL AND actor_type <> 'operator')"


def upgrade() -> None:
    replace_checks(f"{TYPES}, 'usage'", "'user', 'usage'")


def downgrade() -> None:
    # The history's entries cannot be altered, so the old rules hold for new entries only.
    replace_checks(TYPES, "'user'", not_valid=True)


def replace_checks(types: str, with_a_change: str, *, not_valid: bool = False) -> None:
    """Allow these types of actors, and these in entries that name a change."""
    for name, rule in (
        ("actor_type", f"actor_type IN ({types})"),
        ("actor", f"(change_id IS NULL OR actor_type IN ({with_a_change})) AND {NAMED}"),
    ):
        op.drop_constraint(op.f(f"ck_plan_history_{name}"), "plan_history", type_="check")
        op.create_check_constraint(
            op.f(f"ck_plan_history_{name}"), "plan_history", rule, postgresql_not_valid=not_valid
        )
