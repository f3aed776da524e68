"""Let an erasure remove the names of people from the history and the grants, which are otherwise never altered."""

from alembic import op

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None

REFUSE_HISTORY = "RAISE EXCEPTION 'plan_history is only appended to' USING ERRCODE = 'restrict_violation';"
REFUSE_GRANTS = "RAISE EXCEPTION 'a grant can only be ended, and only once' USING ERRCODE = 'restrict_violation';"
ERASE_HISTORY = """
    IF TG_OP = 'UPDATE' AND NEW.actor = 'erased' AND (to_jsonb(NEW) - 'actor') = (to_jsonb(OLD) - 'actor') THEN
        RETURN NEW;
    END IF;
"""
ERASE_GRANTS = """
    IF TG_OP = 'UPDATE' AND NEW.reason = 'erased' AND (to_jsonb(NEW) - 'reason') = (to_jsonb(OLD) - 'reason') THEN
        RETURN NEW;
    END IF;
"""
END_GRANTS = """
    IF TG_OP = 'UPDATE' AND OLD.ended_at IS NULL
        AND (to_jsonb(NEW) - 'ended_at' - 'ended_by') = (to_jsonb(OLD) - 'ended_at' - 'ended_by')
    THEN
        RETURN NEW;
    END IF;
"""


def upgrade() -> None:
    replace("refuse_to_alter_plan_history", ERASE_HISTORY, REFUSE_HISTORY)
    replace("refuse_to_alter_grants", END_GRANTS, ERASE_GRANTS, REFUSE_GRANTS)


def downgrade() -> None:
    replace("refuse_to_alter_plan_history", REFUSE_HISTORY)
    replace("refuse_to_alter_grants", END_GRANTS, REFUSE_GRANTS)


def replace(function: str, *statements: str) -> None:
    """Replace the statements of a trigger's function."""
    op.execute(f"""
        CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN {"".join(statements)} END $$
    """)
