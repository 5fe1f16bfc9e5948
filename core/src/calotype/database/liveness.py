"""Checks that a connection from the pool is alive before a request uses it.

A ping is a round trip, as long as a query. So a connection is pinged only if it was idle for a while, because
a network may have dropped it silently, or if its socket has something to read: then the server has ended it.
"""

from __future__ import annotations

import select
import time
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.exc import InvalidatePoolError

#: Seconds after which an idle connection is pinged.
_IDLE = 1.0
#: The key in a connection's `info` under which the time of its last use is kept.
_USED = "calotype.used"


def check_on_checkout(engine: Engine) -> None:
    """Let the pool replace its connections if the server has ended the one that it is about to hand out."""

    def note_use(connection: Any, record: Any) -> None:
        record.info[_USED] = time.monotonic()

    def check(connection: Any, record: Any, proxy: Any) -> None:
        used = record.info.get(_USED)
        if used is None:  # it is new
            return
        try:
            if time.monotonic() - used > _IDLE or _has_input(connection):
                engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error as error:
            raise InvalidatePoolError from error

    event.listen(engine, "checkin", note_use)
    event.listen(engine, "checkout", check)


def _has_input(connection: Any) -> bool:
    """Return whether the server has sent something unasked. It does so when it ends a connection."""
    poll = select.poll()
    poll.register(getattr(connection, "_sock", connection), select.POLLIN)  # PyMySQL has no `fileno`
    return bool(poll.poll(0))
