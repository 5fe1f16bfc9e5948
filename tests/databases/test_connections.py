"""Connections to database servers: their round trips, and what replaces those that the server has ended."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import psycopg
import pymysql
import pytest
from sqlalchemy import text

from calotype.database import liveness
from calotype.database.database import Database
from calotype.database.engine import build_engine

servers = pytest.mark.parametrize("database", ["postgresql", "mariadb"], indirect=True)

#: Dialect -> the statement for the id of a connection, and the one that ends a connection.
ID = {"postgresql": "SELECT pg_backend_pid()", "mysql": "SELECT connection_id()"}
END = {"postgresql": "SELECT pg_terminate_backend({}, 5000)", "mysql": "KILL {}"}


@pytest.fixture
def connected(database: str) -> Iterator[Database]:
    made = Database(build_engine(database))
    try:
        yield made
    finally:
        made.close()


def read(database: Database, statement: str) -> object:
    with database.reading() as connection:
        return connection.scalar(text(statement))


def write(database: Database) -> None:
    with database.unit() as unit:
        unit.connection.execute(text("SELECT 1"))


def end_connections(database: Database) -> None:
    """End the three connections of the pool from the outside, as a restart of the server does."""
    kind = database.engine.dialect.name
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(database.reading()) for _ in range(3)]
        ids = [connection.scalar(text(ID[kind])) for connection in held]
    killer = build_engine(database.engine.url)
    with killer.begin() as connection:
        for one in ids:
            connection.exec_driver_sql(END[kind].format(one))
    killer.dispose()


@servers
@pytest.mark.parametrize("use", [Database.check, write], ids=["read", "write"])
def test_connections_that_the_server_has_just_ended_are_replaced(
    connected: Database, use: Callable[[Database], None]
) -> None:
    end_connections(connected)
    for _ in range(4):
        use(connected)


@servers
@pytest.mark.parametrize(("idle", "pings"), [(60.0, 0), (0.0, 1)], ids=["recent", "idle"])
def test_a_connection_is_pinged_only_after_it_was_idle(
    connected: Database, monkeypatch: pytest.MonkeyPatch, idle: float, pings: int
) -> None:
    monkeypatch.setattr(liveness, "_IDLE", idle)
    dialect, seen = connected.engine.dialect, []
    ping = dialect.do_ping
    monkeypatch.setattr(dialect, "do_ping", lambda connection: seen.append(connection) or ping(connection))
    connected.check()
    connected.check()

    assert len(seen) == pings


@servers
def test_a_read_needs_no_round_trip_besides_its_query(
    connected: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    trips: list[object] = []

    def noted(owner: type, method: str) -> None:
        """Record the calls of the driver's method that waits for the server's answer."""
        original = getattr(owner, method)

        def note(self: object, *arguments: object, **named: object) -> object:
            trips.append(arguments)
            return original(self, *arguments, **named)

        monkeypatch.setattr(owner, method, note)

    connected.check()
    noted(psycopg.Connection, "wait")
    noted(pymysql.connections.Connection, "_execute_command")
    connected.check()
    assert len(trips) == 1
    trips.clear()
    write(connected)
    assert len(trips) == 3  # BEGIN, the statement, COMMIT


@servers
def test_an_error_in_a_unit_leaves_no_transaction_on_its_connection(connected: Database) -> None:
    def fail() -> None:
        with connected.unit() as unit:
            unit.connection.execute(text("CREATE TEMPORARY TABLE kept (id INTEGER)"))
            unit.connection.execute(text("INSERT INTO kept VALUES (1)"))
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    made = "SELECT to_regclass('kept') IS NULL" if connected.engine.dialect.name == "postgresql" else None
    # MariaDB's CREATE is not rolled back, but its rows are.
    assert read(connected, made or "SELECT count(*) = 0 FROM kept")
