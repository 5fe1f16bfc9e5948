"""The queue of the threads that write to SQLite, which has one lock for all writers.

Without the queue, SQLite lets its writers sleep between their attempts to take the lock. Then some threads
are overtaken again and again until their timeout, and all of them hold connections that readers need.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

from sqlalchemy import Engine, QueuePool

from calotype.database.errors import DatabaseUnavailable

Turn = Callable[[], AbstractContextManager[object]]


def write_turns(engine: Engine) -> Turn:
    """Return a function that waits for the thread's turn to write, which lasts as long as its block.

    A thread waits as long as it may wait for a connection. Then DatabaseUnavailable is raised. Only threads
    of this process wait here. Servers have a lock for each row, so nothing waits for their turn.
    """
    if engine.dialect.name != "sqlite" or not isinstance(engine.pool, QueuePool):
        return contextlib.nullcontext
    lock, timeout = threading.Lock(), engine.pool.timeout()

    @contextlib.contextmanager
    def turn() -> Iterator[None]:
        if not lock.acquire(timeout=timeout):
            raise DatabaseUnavailable("The image database is not available at the moment.")
        try:
            yield
        finally:
            lock.release()

    return turn
