"""A statement that goes to the driver directly reads the same as SQLAlchemy does."""

import pytest
from sqlalchemy import inspect, select
from sqlalchemy.orm.exc import UnmappedInstanceError

from gateway.db.models import Base, Organization, OrganizationPlan, PaymentMethod, PlanChange, Subscription
from gateway.db.prepared import Prepared
from tests.support.api import ApiClient
from tests.support.world import World

ROWS = (
    select(Organization, OrganizationPlan, Organization.balance, Subscription, PlanChange, PaymentMethod)
    .select_from(Organization)
    .join(OrganizationPlan)
    .join(Subscription, Subscription.organization_id == Organization.id)
    .join(PlanChange, PlanChange.organization_id == Organization.id)
    .outerjoin(PaymentMethod, PaymentMethod.id == "pm_of_nobody")
    .order_by(PlanChange.created_at, PlanChange.id)
)


def show_values(found: object) -> object:
    if not isinstance(found, Base):
        return found
    return {each.key: getattr(found, each.key) for each in inspect(type(found)).column_attrs}


def test_rows_have_the_values_that_sqlalchemy_reads(world: World, api: ApiClient) -> None:
    api.ok("PATCH", "/subscription", plan="plus")
    with world.gateway.database.transaction() as session:
        expected = [[show_values(each) for each in row] for row in session.execute(ROWS)]
        in_session = Prepared(ROWS).read_in(session, {})
    for rows in (in_session, Prepared(ROWS).read(world.gateway.database, {})):
        assert [[show_values(each) for each in row] for row in rows] == expected
    assert expected[0][-1] is None


@pytest.mark.usefixtures("api")
def test_a_row_cannot_be_changed(world: World) -> None:
    [(plan,)] = Prepared(select(OrganizationPlan)).read(world.gateway.database, {})
    with pytest.raises(AttributeError):
        plan.quantity = 7


@pytest.mark.usefixtures("api")
def test_a_column_that_is_not_selected_cannot_be_read(world: World) -> None:
    [(plan,)] = Prepared(select(OrganizationPlan), without={"quantity", "organization_id"}).read(
        world.gateway.database, {}
    )
    assert (plan.organization_id, plan.plan) == ("org_1", "free")  # the primary key is always there
    with pytest.raises(UnmappedInstanceError):
        _ = plan.quantity
