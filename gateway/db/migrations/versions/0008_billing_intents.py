"""Allow one billing operation in flight per organization, and none beside a plan change in flight."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "billing_intents",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("object_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "kind IN ('set_default_payment_method', 'delete_payment_method', 'pay_invoice', 'abandon_change')",
            name=op.f("ck_billing_intents_kind"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_billing_intents_organization_id")
        ),
        sa.PrimaryKeyConstraint("organization_id", name=op.f("pk_billing_intents")),
        sa.UniqueConstraint("id", name=op.f("uq_billing_intents_id")),
    )
    # Prevents an operation beside a change in flight, because it could remove the card that an upgrade relies on. A
    # change that waits for its payment may be abandoned or paid. The lock makes two concurrent transactions see each
    # other's row.
    op.execute("""
        CREATE FUNCTION refuse_intent_beside_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM FROM organizations WHERE id = NEW.organization_id FOR UPDATE;
            IF EXISTS (
                SELECT FROM plan_changes
                WHERE organization_id = NEW.organization_id
                    AND state IN ('requested', 'processing', 'requires_action')
                    AND NOT (state = 'requires_action' AND (
                        NEW.kind = 'abandon_change' AND id = NEW.object_id
                        OR NEW.kind = 'pay_invoice' AND steps -> 'pending_invoice' ->> 'id' = NEW.object_id
                    ))
            ) THEN
                RAISE EXCEPTION 'a plan change of % is in flight', NEW.organization_id
                    USING ERRCODE = 'exclusion_violation';
            END IF;
            RETURN NEW;
        END $$
    """)
    op.execute("""
        CREATE TRIGGER no_intent_beside_a_change BEFORE INSERT ON billing_intents
        FOR EACH ROW EXECUTE FUNCTION refuse_intent_beside_change()
    """)
    # Prevents an upgrade that relies on a card while an operation in flight may be removing it.
    op.execute("""
        CREATE FUNCTION refuse_change_beside_intent() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM FROM organizations WHERE id = NEW.organization_id FOR UPDATE;
            IF EXISTS (SELECT FROM billing_intents WHERE organization_id = NEW.organization_id) THEN
                RAISE EXCEPTION 'a billing operation of % is in flight', NEW.organization_id
                    USING ERRCODE = 'exclusion_violation';
            END IF;
            RETURN NEW;
        END $$
    """)
    # AFTER, because a BEFORE trigger would also fire for an upsert that only updates a change.
    op.execute("""
        CREATE TRIGGER no_change_beside_an_intent AFTER INSERT ON plan_changes
        FOR EACH ROW WHEN (NEW.state IN ('requested', 'processing', 'requires_action'))
        EXECUTE FUNCTION refuse_change_beside_intent()
    """)


def downgrade() -> None:
    op.execute("DROP TRIGGER no_change_beside_an_intent ON plan_changes")
    op.execute("DROP FUNCTION refuse_change_beside_intent")
    op.drop_table("billing_intents")
    op.execute("DROP FUNCTION refuse_intent_beside_change")
