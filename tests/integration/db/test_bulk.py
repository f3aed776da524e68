"""The bulk writer gives new rows the defaults of an ordinary INSERT, and writes what has changed of known ones."""

from datetime import UTC, datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from gateway.db import bulk
from gateway.db.models import Invoice, Organization
from gateway.db.prepared import Prepared
from tests.support.world import World

NOW = datetime(2026, 11, 1, tzinfo=UTC)
INVOICES = Prepared(select(Invoice))
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


def load(session: Session) -> list[Invoice]:
    return [each for (each,) in INVOICES.load(session, {})]


def flush(session: Session, *written: Invoice) -> dict[str, bool]:
    """Write the rows. Return ``withdrawal_waits`` of all rows."""
    bulk.flush(session, written)
    rows = load(session)
    assert [each.differences for each in rows] == [[]] * len(rows)
    return {each.id: each.withdrawal_waits for each in rows}


def test_a_new_row_beside_a_known_one_gets_its_defaults(world: World) -> None:
    with world.gateway.database.transaction() as session:
        session.add(Organization(id="org_1", created_at=NOW))
        session.flush()
        assert flush(session, invoice("in_1")) == {"in_1": False}
        [known] = load(session)
        known.withdrawal_waits = True
        assert flush(session, invoice("in_2"), known) == {"in_1": True, "in_2": False}


def test_only_changed_columns_of_known_rows_are_written(world: World) -> None:
    with world.gateway.database.transaction() as session:
        session.add(Organization(id="org_1", created_at=NOW))
        session.flush()
        flush(session, invoice("in_1"), invoice("in_2"))
        known = load(session)
        session.execute(update(Invoice).values(total=7, number="A-1"))
        for each in known:
            each.total = 5
        flush(session, *known)
        assert {(each.total, each.number) for each in load(session)} == {(5, "A-1")}


def test_a_row_joined_twice_is_one_object(world: World) -> None:
    with world.gateway.database.transaction() as session:
        session.add(Organization(id="org_1", created_at=NOW))
        session.flush()
        flush(session, invoice("in_1"), invoice("in_2"))
        joined = Prepared(select(Organization, Invoice).join_from(Organization, Invoice))
        [first, one], [second, other] = joined.load(session, {})
        assert first is second
        assert {one.id, other.id} == {"in_1", "in_2"}
