"""Reads and clears the tables of the database under test."""

from typing import Any

from sqlalchemy import text

from gateway.db.models import Base, Invoice, Organization, PaymentMethod, Plan, Subscription, WebhookEvent
from gateway.services.runtime import Gateway
from tests.support.world import World


def empty(gateway: Gateway) -> None:
    """Delete every row that the previous test left."""
    tables = ", ".join([*Base.metadata.tables, "procrastinate_jobs", "procrastinate_workers"])
    with gateway.database.transaction() as session:
        session.execute(text(f"TRUNCATE {tables} CASCADE"))


def mirror(world: World) -> list[Any]:
    """Return the content of the tables without the columns that record its origin."""
    found: list[Any] = []
    for model in (Organization, PaymentMethod, Plan, Subscription, Invoice):
        skip = {"as_of", "source", "trail", "revision", "created_at", "customer_key_since"}
        names = [name for name in model.__table__.columns.keys() if name not in skip]  # noqa: SIM118 - not a dict
        found += [(model.__name__, [getattr(row, name) for name in names]) for row in world.rows(model)]
    plan = world.plan_row()
    return [*found, (plan.plan, plan.quantity, plan.status, plan.subscription_id, plan.current_period_end)]


def state_of(world: World, event_id: str) -> str:
    return next(row.state for row in world.rows(WebhookEvent) if row.id == event_id)
