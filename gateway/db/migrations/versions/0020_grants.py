"""Complimentary plans, and what the plan table and its history show of them."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "grants",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("organization_id", sa.Text, nullable=False),
        sa.Column("plan", sa.Text, nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("granted_by", sa.Text, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
        sa.Column("ended_by", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_grants"),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name="fk_grants_organization_id"),
        sa.CheckConstraint("until > created_at", name=op.f("ck_grants_until")),
        sa.CheckConstraint("ended_by IS NULL OR ended_at IS NOT NULL", name=op.f("ck_grants_ended")),
    )
    running = sa.text("ended_at IS NULL")
    op.create_index("uq_grants_running", "grants", ["organization_id"], unique=True, postgresql_where=running)
    op.create_index("ix_grants_due", "grants", ["until"], postgresql_where=running)
    # The history names grants by their ids. An altered row would falsify it.
    op.execute("""
        CREATE FUNCTION refuse_to_alter_grants() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF TG_OP = 'UPDATE' AND OLD.ended_at IS NULL
                AND (to_jsonb(NEW) - 'ended_at' - 'ended_by') = (to_jsonb(OLD) - 'ended_at' - 'ended_by')
            THEN
                RETURN NEW;
            END IF;
            RAISE EXCEPTION 'a grant can only be ended, and only once' USING ERRCODE = 'restrict_violation';
        END $$
    """)
    op.execute("""
        CREATE TRIGGER grants_can_only_be_ended BEFORE UPDATE OR DELETE ON grants
        FOR EACH ROW EXECUTE FUNCTION refuse_to_alter_grants()
    """)
    op.add_column("organization_plans", sa.Column("granted_plan", sa.Text))
    op.add_column("organization_plans", sa.Column("granted_until", sa.DateTime(timezone=True)))
    op.create_check_constraint(
        op.f("ck_organization_plans_granted"), "organization_plans", "(granted_plan IS NULL) = (granted_until IS NULL)"
    )
    op.drop_constraint("ck_plan_history_actor_type", "plan_history")
    op.drop_constraint("ck_plan_history_user", "plan_history")
    op.create_check_constraint(
        op.f("ck_plan_history_actor_type"),
        "plan_history",
        "actor_type IN ('user', 'sales', 'stripe', 'system', 'operator')",
    )
    op.create_check_constraint(
        op.f("ck_plan_history_actor"),
        "plan_history",
        "(change_id IS NULL OR actor_type = 'user')"
        " AND (actor IS NULL) = (change_id IS NULL AND actor_type <> 'operator')",
    )


def downgrade() -> None:
    op.drop_constraint("ck_plan_history_actor", "plan_history")
    op.drop_constraint("ck_plan_history_actor_type", "plan_history")
    # Entries by operators cannot be altered, so the old rules hold for new entries only.
    op.execute("""
        ALTER TABLE plan_history ADD CONSTRAINT ck_plan_history_actor_type
        CHECK (actor_type IN ('user', 'sales', 'stripe', 'system')) NOT VALID
    """)
    op.execute("""
        ALTER TABLE plan_history ADD CONSTRAINT ck_plan_history_user
        CHECK ((actor IS NULL) = (change_id IS NULL) AND (actor IS NULL OR actor_type = 'user')) NOT VALID
    """)
    op.drop_column("organization_plans", "granted_until")
    op.drop_column("organization_plans", "granted_plan")
    op.drop_table("grants")
    op.execute("DROP FUNCTION refuse_to_alter_grants")
