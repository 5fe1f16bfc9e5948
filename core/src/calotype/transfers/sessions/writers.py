"""The requests of this process that write to sessions, so that a newer one can end an older one."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

#: Seconds that a newer request waits until an older one has stored the bytes that it has received.
HANDOVER = 1.0


@dataclass(eq=False)
class _Writer:
    """A request that writes alone. `stop` ends it, and `ended` is set once it has."""

    stop: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)


class Writers:
    """The requests that write alone, by session. All threads share an instance."""

    def __init__(self) -> None:
        self._writers: dict[str, set[_Writer]] = {}
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def writing(self, session_id: str) -> Iterator[threading.Event]:
        """Register a request for the duration of the block, and yield the signal that ends it."""
        writer = _Writer()
        with self._lock:
            self._writers.setdefault(session_id, set()).add(writer)
        try:
            yield writer.stop
        finally:
            with self._lock:
                self._writers[session_id].discard(writer)
                if not self._writers[session_id]:
                    del self._writers[session_id]
            writer.ended.set()

    def end(self, session_id: str) -> None:
        """End the requests that write to a session, and wait up to HANDOVER seconds until they have ended.

        A request that waits for its client cannot be interrupted. It ends when it stores the next part.
        """
        with self._lock:
            writers = list(self._writers.get(session_id, ()))
        for writer in writers:
            writer.stop.set()
        until = time.monotonic() + HANDOVER
        for writer in writers:
            writer.ended.wait(max(0.0, until - time.monotonic()))
