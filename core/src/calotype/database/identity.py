"""The database id: one row, inserted when the tables are created. The markers of stores contain it."""

from __future__ import annotations

import datetime
import uuid
from dataclasses import asdict, dataclass

from sqlalchemy import Connection, delete, insert, select

from calotype.database.errors import NoIdentity
from calotype.database.statements import now
from calotype.database.tables import IdentityRow

_TABLE = IdentityRow.__table__


@dataclass(frozen=True, slots=True)
class Identity:
    """A database id, which is a UUID, and the time when it was made."""

    id: str
    created_at: datetime.datetime


def find(connection: Connection) -> Identity:
    """Return the database id.

    Raises:
        NoIdentity: there is none.
    """
    row = connection.execute(select(_TABLE)).first()
    if row is None:
        raise NoIdentity
    return Identity(*row)


def renew(connection: Connection) -> Identity:
    """Replace the database id, and return the new one."""
    made = Identity(str(uuid.uuid4()), now())
    connection.execute(delete(_TABLE))
    connection.execute(insert(_TABLE), asdict(made))
    return made
