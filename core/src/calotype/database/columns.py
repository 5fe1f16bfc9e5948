"""The types of columns, and the base class of the core's tables."""

from __future__ import annotations

import datetime
import enum
from typing import TYPE_CHECKING, Any, ClassVar

from sqlalchemy import DateTime, Dialect, MetaData, String, Table
from sqlalchemy.dialects import mysql
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.types import TypeDecorator


class UTCDateTime(TypeDecorator[datetime.datetime]):
    """An aware UTC time with microseconds, stored without a zone, because every database supports that."""

    # MySQL and MariaDB keep fractions of a second only if the column says so.
    impl = DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
    cache_ok = True

    def process_bind_param(
        self, value: datetime.datetime | None, dialect: Dialect
    ) -> datetime.datetime | None:
        """Convert an aware time into a naive one in UTC."""
        return None if value is None else value.astimezone(datetime.UTC).replace(tzinfo=None)

    def process_result_value(
        self, value: datetime.datetime | None, dialect: Dialect
    ) -> datetime.datetime | None:
        """Convert a naive time in UTC into an aware one."""
        return None if value is None else value.replace(tzinfo=datetime.UTC)


class Word(TypeDecorator[Any]):
    """A member of an enumeration, stored as text."""

    impl = String
    cache_ok = True

    def __init__(self, kind: type[enum.StrEnum]):
        super().__init__(16)
        self.kind = kind

    def process_result_value(self, value: str | None, dialect: Dialect) -> enum.StrEnum | None:
        """Return the member of the enumeration that has this value."""
        return None if value is None else self.kind(value)


#: The names of constraints. Migrations need them to refer to a constraint on any database.
NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """The core's tables."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map: ClassVar = {datetime.datetime: UTCDateTime()}
    if TYPE_CHECKING:
        # SQLAlchemy declares a FromClause, because a class may map a query. These classes map tables.
        __table__: ClassVar[Table]
