"""The clock of the database server, compared with this machine's."""

from __future__ import annotations

import time

from sqlalchemy import extract, func, select

from calotype.database.database import Database

#: The seconds since 1970 by the server's clock. SQLite has none of its own.
_NOW = {
    "postgresql": select(extract("epoch", func.clock_timestamp())),
    "mysql": select(func.unix_timestamp(func.now(6))),
    "mariadb": select(func.unix_timestamp(func.now(6))),
}


def seconds_ahead(database: Database) -> float | None:
    """Return the seconds by which the database server's clock is ahead; None if it has none of its own."""
    query = _NOW.get(database.engine.dialect.name)
    if query is None:
        return None
    with database.reading() as connection:
        connection.execute(query)  # the first statement may have to connect
        begun = time.time()
        server = float(connection.execute(query).scalar_one())
        return server - (begun + time.time()) / 2
