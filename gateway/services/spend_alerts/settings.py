"""What an organization chose, or the catalogue's default."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from gateway.catalog import Catalog
from gateway.db.models import SpendAlerts
from gateway.services.customers.customer import ensure_organization
from gateway.services.runtime import Caller, Gateway
from gateway.services.spend_checks import request_checks
from gateway.services.subscription.billing_state import load_billing_state


@dataclass(frozen=True, kw_only=True)
class AlertSettings:
    """The amounts of an organization, in minor units of ``currency`` and in ascending order."""

    currency: str
    amounts: Sequence[int]
    spend_limit: int | None


def load_settings(session: Session, catalog: Catalog, organization_id: str, currency: str) -> AlertSettings:
    """Return what the organization chose in this currency, or the catalogue's default."""
    row = session.get(SpendAlerts, organization_id)
    if row is not None and row.currency == currency:
        return AlertSettings(currency=currency, amounts=row.amounts, spend_limit=row.spend_limit)
    default = catalog.spend_alerts.get(currency)
    return AlertSettings(currency=currency, amounts=[] if default is None else [default], spend_limit=None)


def show_settings(gateway: Gateway, caller: Caller) -> AlertSettings:
    """Return the settings of the caller's organization, in its currency."""
    with gateway.database.reading() as session:
        currency = find_currency(session, gateway.catalog, caller)
        return load_settings(session, gateway.catalog, caller.organization_id, currency)


def replace_settings(
    gateway: Gateway, caller: Caller, amounts: Sequence[int], spend_limit: int | None
) -> AlertSettings:
    """Replace the settings. The worker soon compares them with the spend of the present period."""
    now = gateway.clock()
    with gateway.database.transaction() as session:
        organization_id = ensure_organization(session, caller, now).id
        currency = find_currency(session, gateway.catalog, caller)
        values = {"currency": currency, "amounts": sorted(amounts), "spend_limit": spend_limit}
        upsert = insert(SpendAlerts).values(organization_id=organization_id, **values)
        session.execute(upsert.on_conflict_do_update(index_elements=["organization_id"], set_=values))
        request_checks(session, [organization_id], now)
        return load_settings(session, gateway.catalog, organization_id, currency)


def find_currency(session: Session, catalog: Catalog, caller: Caller) -> str:
    """Return the currency that the organization pays in, or would pay in."""
    return load_billing_state(session, caller.organization_id, catalog, [caller.currency]).contract.currency
