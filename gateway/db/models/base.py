"""What the tables have in common."""

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import BigInteger, DateTime, MetaData, Text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

Json = dict[str, Any]  # a JSON object: what is inside is Stripe's or the client's business


class Base(DeclarativeBase):
    """Times are ``timestamptz`` in UTC, amounts ``bigint`` in minor units, strings ``text``."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {  # SQLAlchemy's own type for this map
        datetime: DateTime(timezone=True),
        str: Text,
        int: BigInteger,
        Json: JSONB,
        list[Json]: JSONB,
        list[str]: ARRAY(Text),
    }


class Mirrored(Base):
    """An object of Stripe's: the columns by which the merge orders what it hears of it (``services/ordering.py``)."""

    __abstract__ = True

    as_of: Mapped[datetime | None]
    """Stripe's time of the stored state; None while the object was never seen."""
    source: Mapped[str | None]
    """Where the stored state came from: event, answer, refresh."""
    rank: Mapped[int] = mapped_column(server_default="0")
    """How far the object has come: grows only, so a state of a lower rank is always the older one."""
    trail: Mapped[list[str]] = mapped_column(server_default="{}")
    """Digests of the states known of the time around ``as_of``, oldest first; the last one is stored."""
    revision: Mapped[int] = mapped_column(server_default="0")
    """Counts the writes: a refresh that finds it unmoved knows that its answer is the newer state."""
