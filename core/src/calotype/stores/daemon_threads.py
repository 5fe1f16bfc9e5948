"""A pool of threads for calls that may hang."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
from collections import deque
from collections.abc import Callable

log = logging.getLogger(__name__)

#: Seconds after which a thread without work ends.
_IDLE = 10.0

_Inbox = queue.SimpleQueue[Callable[[], object] | None]


class DaemonThreads:
    """A pool of daemon threads. An idle thread takes the next work; otherwise a new thread does.

    `ThreadPoolExecutor` does not fit, because Python waits for its threads at exit, and a thread may hang.
    """

    def __init__(self, name: str):
        self._name = name
        self._idle: deque[_Inbox] = deque()
        self._ended = False

    def run(self, work: Callable[[], object]) -> None:
        """Do the work in an idle thread, or in a new one."""
        inbox: _Inbox
        try:
            inbox = self._idle.pop()
        except IndexError:
            inbox = queue.SimpleQueue()
            threading.Thread(target=self._serve, args=(inbox,), name=self._name, daemon=True).start()
        inbox.put(work)

    def end(self) -> None:
        """End idle threads now, and the others as soon as their work is done."""
        self._ended = True
        with contextlib.suppress(IndexError):
            while True:
                self._idle.pop().put(None)

    def _serve(self, inbox: _Inbox) -> None:
        while (work := self._next(inbox)) is not None:
            try:
                work()
            except BaseException:
                log.exception("%s: a result that came too late could not be cleared away", self._name)
            del work
            self._idle.append(inbox)
            if self._ended:
                self.end()

    def _next(self, inbox: _Inbox) -> Callable[[], object] | None:
        try:
            return inbox.get(timeout=_IDLE)
        except queue.Empty:
            pass
        try:
            self._idle.remove(inbox)
        except ValueError:  # another thread has just given this thread work
            return inbox.get()
        return None
