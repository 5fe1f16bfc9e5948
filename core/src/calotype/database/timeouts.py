"""How long a database server may take: for a connection, for a lock, for an answer.

A server that ends says so at once. One whose disk hangs, or that the network has left behind, says
nothing: TCP does not give up for a quarter of an hour, or ever, and PostgreSQL's library waits as long.
So whoever waits here gives up by the clock; its connection is closed, for an answer may still come.
What the server itself can end by the clock it is told to end: locks that a frozen client would hold.
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator
from typing import Any

from sqlalchemy import URL, Engine, event

#: Seconds for a new connection: a server that lives takes it within one.
_CONNECT = 5
#: Seconds for which a client waits longer than the server, so that one that lives says itself what it ended.
_GRACE = 1


def arguments(url: URL, lock: float, answer: float | None) -> dict[str, Any]:
    """A driver's arguments; what the URL says goes before them. Without `answer` nothing is hurried."""
    given: dict[str, Any] = {}
    if url.get_backend_name() in ("mysql", "mariadb"):
        seconds = max(1, round(lock))
        told = f"SET SESSION innodb_lock_wait_timeout = {seconds}"
        if answer is not None:
            # What stands in /*M!...*/ is for MariaDB only, from that version on; MySQL knows no such limit.
            idle = f"/*M!100301 , idle_transaction_timeout = {math.ceil(answer)} */"
            told += f", lock_wait_timeout = {seconds} {idle}"
            given = {"connect_timeout": _CONNECT, "read_timeout": answer, "write_timeout": answer}
        given["init_command"] = told
    elif url.get_driver_name() == "psycopg" and answer is not None:
        given = {"connect_timeout": _CONNECT}
    return {name: value for name, value in given.items() if name not in url.query}


def bind(engine: Engine, lock: float, answer: float | None) -> None:
    """Hold each connection to it that PostgreSQL gives; others take it all as arguments."""
    if engine.dialect.name != "postgresql" or answer is None:
        return

    def tell(connection: Any, record: object) -> None:
        seconds = {
            "lock_timeout": lock,
            "statement_timeout": answer,  # a commit is not among the statements: it is never broken off
            "idle_in_transaction_session_timeout": answer,
        }
        connection.autocommit = True
        with connection.cursor() as cursor:
            asked = ", ".join(
                f"set_config('{name}', '{limit * 1000:.0f}', false)" for name, limit in seconds.items()
            )
            cursor.execute(f"SELECT {asked}")
        connection.autocommit = False

    event.listen(engine, "connect", tell)
    if engine.dialect.driver == "psycopg":
        impatient = _impatient(engine.dialect.loaded_dbapi, answer + _GRACE)

        def connect(dialect: object, record: object, given: Any, named: dict[str, Any]) -> Any:
            return impatient.connect(*given, **named)

        event.listen(engine, "do_connect", connect)


def _impatient(psycopg: Any, seconds: float) -> Any:
    """A class of connections that close themselves when they waited so long for one answer."""

    class Impatient(psycopg.Connection):
        """All that such a connection waits for, it waits for in `wait`."""

        def wait(self, answer: Any, *others: Any, **named: Any) -> Any:
            return super().wait(self._before(time.monotonic() + seconds, answer), *others, **named)

        def _before(self, end: float, answer: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
            """The same steps towards the answer, until then; the driver takes one each tenth of a second."""
            try:
                wanted = next(answer)
                while True:
                    ready = yield wanted
                    if time.monotonic() > end and not ready:
                        self.pgconn.finish()
                        raise psycopg.OperationalError(
                            f"the server did not answer within {seconds:g} seconds"
                        )
                    wanted = answer.send(ready)
            except StopIteration as done:
                return done.value

    return Impatient
