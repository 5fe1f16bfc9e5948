"""Work that a serving process does beside requests: jobs, sweeping, scrubbing, probes, heartbeats.

Each kind of work is registered once, as a `Work`, and all of it starts in one call, when the process
begins to serve. After that the process must not fork, because the child would have no threads.
"""

from __future__ import annotations

import enum
import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

log = logging.getLogger(__name__)


class Scope(enum.StrEnum):
    """The scope of a kind of work if several processes share a database."""

    #: Each process does the work for itself.
    PER_PROCESS = "process"
    #: Each process can do it, and leases in the database let one process at a time do each piece of it.
    PER_DEPLOYMENT = "deployment"


@dataclass(frozen=True, slots=True)
class Work:
    """Work that a thread of Background repeats until the process ends.

    Attributes:
        name: The name of the work's thread, which the log shows.
        interval: The time between the end of one run and the beginning of the next one, in seconds.
        run: A function that does the work once. It returns True to be called again at once. If it raises an
            error, the error is logged, and the function is called again after the interval. It runs in
            its own thread, so it may take long, but it should return soon after `Background.ending` is set.
        scope: The scope of the work: each process, or the whole deployment.
    """

    name: str
    interval: float
    run: Callable[[], bool]
    scope: Scope


class Background:
    """The repeated work of one process: nothing runs before `start`, and no run begins after `close`."""

    def __init__(self) -> None:
        #: Set when the process ends: long work should stop at a point from which it can continue later.
        self.ending = threading.Event()
        self._works: list[Work] = []
        self._threads: list[threading.Thread] = []
        self._started = False
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[Work]:
        return iter(tuple(self._works))

    def add(self, work: Work) -> None:
        """Register work. It starts with the rest, or at once if the rest has been started."""
        with self._lock:
            self._works.append(work)
            if self._started:
                self._begin(work)

    def start(self) -> None:
        """Start all registered work. A second call does nothing."""
        with self._lock:
            if self._started:
                return
            self._started = True
            for work in self._works:
                self._begin(work)

    def close(self, seconds: float = 2) -> None:
        """Begin no more runs, and wait at most `seconds` in total for the running ones."""
        self.ending.set()
        end = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0, end - time.monotonic()))

    def _begin(self, work: Work) -> None:
        thread = threading.Thread(target=self._repeat, args=[work], name=work.name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _repeat(self, work: Work) -> None:
        while not self.ending.is_set():
            try:
                busy = work.run()
            except Exception:
                log.exception("%s failed; it will be retried", work.name)
                busy = False
            if not busy:
                self.ending.wait(work.interval)
