"""The bulk writer gives a row the same defaults as an ordinary INSERT."""

from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from gateway.db import bulk
from gateway.db.models import Invoice, Organization
from tests.support.world import World

NOW = datetime(2026, 11, 1, tzinfo=UTC)
NUMBERS = dict.fromkeys(("total", "amount_due", "amount_paid", "amount_remaining"), 0)


def invoice(invoice_id: str) -> Invoice:
    return Invoice(
        **NUMBERS,
        id=invoice_id,
        organization_id="org_1",
        status="open",
        currency="usd",
        created=NOW,
        as_of=NOW,
        source="event",
        rank=0,
        trail=["digest"],
        revision=1,
    )


def flush(session: Session, added: Invoice) -> dict[str, bool]:
    """Write the new row and the changed ones. Return ``withdrawal_waits`` of all rows."""
    session.add(added)
    bulk.flush(session, Invoice)
    rows = session.scalars(select(Invoice)).all()
    assert [each.differences for each in rows] == [[]] * len(rows)
    return {each.id: each.withdrawal_waits for each in rows}


def test_a_new_row_beside_a_known_one_gets_its_defaults(world: World) -> None:
    with world.gateway.database.transaction() as session:
        session.add(Organization(id="org_1", created_at=NOW))
        session.flush()
        assert flush(session, invoice("in_1")) == {"in_1": False}
        known = session.get_one(Invoice, "in_1")
        known.withdrawal_waits = True
        assert flush(session, invoice("in_2")) == {"in_1": True, "in_2": False}
