"""The base classes of all tables."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import BigInteger, DateTime, MetaData, Text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from gateway.json_types import Json


class Base(DeclarativeBase):
    """The base of all tables. Times are ``timestamptz`` in UTC, amounts ``bigint`` in minor units, strings ``text``."""

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

    def loaded(self) -> Mapping[str, Any]:
        """Return the values of the columns that are set, by name. Reading many one by one through the ORM is slow."""
        return vars(self)


class Mirrored(Base):
    """A Stripe object. The merge uses these columns to decide which of two states is newer."""

    __abstract__ = True

    as_of: Mapped[datetime | None]
    """Stripe's time of the stored state, or None if the merge has never seen the object."""
    source: Mapped[str | None]
    """Where the stored state came from: ``event``, ``answer`` or ``refresh``."""
    rank: Mapped[int] = mapped_column(server_default="0")
    """How final the stored status is, as the snapshot says. It only grows, so the state of the lower rank is older."""
    trail: Mapped[list[str]] = mapped_column(server_default="{}")
    """Digests of the known states around ``as_of``, oldest first. The last digest is that of the stored state."""
    revision: Mapped[int] = mapped_column(server_default="0")
    """The number of writes to the row. If it is unchanged when a refresh returns, the refresh's state is newer."""
