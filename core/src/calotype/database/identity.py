"""The database's own id: one row, made with the schema. The markers of stores hold it."""

from __future__ import annotations

import datetime
import uuid
from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select

from calotype.database.errors import NoIdentity
from calotype.database.tables import IdentityRow

_TABLE = IdentityRow.__table__


@dataclass(frozen=True, slots=True)
class Identity:
    """A database's id, a UUID, and when it was made."""

    id: str
    created_at: datetime.datetime


def find(connection: Connection) -> Identity:
    """Return the database's id.

    Raises:
        NoIdentity: there is none.
    """
    row = connection.execute(select(_TABLE.c.id, _TABLE.c.created_at)).first()
    if row is None:
        raise NoIdentity
    return Identity(row.id, row.created_at)


def renew(connection: Connection) -> Identity:
    """Replace the database's id by a new one, and return that."""
    made = Identity(str(uuid.uuid4()), datetime.datetime.now(datetime.UTC))
    connection.execute(delete(_TABLE))
    connection.execute(insert(_TABLE), {"id": made.id, "created_at": made.created_at})
    return made
