"""Timeouts of database servers: for a connection, for a lock, and for an answer.

If a server's disk hangs, or the network drops its packets, TCP gives up after a quarter of an hour or never.
PostgreSQL's library waits as long. So the client has timeouts of its own. After a timeout it closes the
connection, because the answer may still arrive. The server gets timeouts, too. They also release the locks of
a frozen client.
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator
from typing import Any

from sqlalchemy import URL, Engine, event

#: Timeout for a new connection, in seconds. A healthy server accepts one within a second.
_CONNECT = 5
#: The client waits this many seconds longer than the server, so that a healthy server reports the timeout.
_GRACE = 1


def arguments(url: URL, lock: float, answer: float | None) -> dict[str, Any]:
    """Return the arguments for the driver, except those that the URL sets.

    `lock` and `answer` are timeouts in seconds. If `answer` is None, a statement may take any time.
    """
    given: dict[str, Any] = {}
    if url.get_backend_name() in ("mysql", "mariadb"):
        seconds = max(1, round(lock))
        variables = f"SET SESSION innodb_lock_wait_timeout = {seconds}"
        if answer is not None:
            # Only MariaDB executes /*M!100301 ... */, from 10.3.1 on. MySQL has no such variable.
            idle = f"/*M!100301 , idle_transaction_timeout = {math.ceil(answer)} */"
            variables += f", lock_wait_timeout = {seconds} {idle}"
            given = {"connect_timeout": _CONNECT, "read_timeout": answer, "write_timeout": answer}
        given["init_command"] = variables
    elif url.get_driver_name() == "psycopg" and answer is not None:
        given = {"connect_timeout": _CONNECT}
    return {name: value for name, value in given.items() if name not in url.query}


def bind(engine: Engine, lock: float, answer: float | None) -> None:
    """Set the timeouts on each new connection to PostgreSQL. Other databases get them as arguments."""
    if engine.dialect.name != "postgresql" or answer is None:
        return

    def set_timeouts(connection: Any, record: object) -> None:
        seconds = {
            "lock_timeout": lock,
            "statement_timeout": answer,  # it does not apply to a commit
            "idle_in_transaction_session_timeout": answer,
        }
        with connection.cursor() as cursor:
            settings = ", ".join(
                f"set_config('{name}', '{limit * 1000:.0f}', false)" for name, limit in seconds.items()
            )
            cursor.execute(f"SELECT {settings}")

    event.listen(engine, "connect", set_timeouts)
    if engine.dialect.driver == "psycopg":
        impatient = _impatient(engine.dialect.loaded_dbapi, answer + _GRACE)

        def connect(dialect: object, record: object, given: Any, named: dict[str, Any]) -> Any:
            return impatient.connect(*given, **named)

        event.listen(engine, "do_connect", connect)


def _impatient(psycopg: Any, seconds: float) -> Any:
    """Return a class of connections that close themselves after waiting this long for one answer."""

    class Impatient(psycopg.Connection):
        """A connection with a timeout in `wait`, where psycopg waits for every answer."""

        def wait(self, answer: Any, *others: Any, **named: Any) -> Any:
            return super().wait(self._before(time.monotonic() + seconds, answer), *others, **named)

        def _before(self, end: float, answer: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
            """Run the steps of `answer` until the time `end`. psycopg asks for one every 0.1 seconds."""
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
