"""Work that a serving process does beside requests: jobs, sweeping, and scrubbing.

Any number of processes may do so at once; the registry's leases keep them apart.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

log = logging.getLogger(__name__)


class Background:
    """Threads that call something again and again until `ending` is set."""

    def __init__(self) -> None:
        self.ending = threading.Event()
        self._threads: list[threading.Thread] = []

    def every(self, seconds: float, name: str, work: Callable[[], bool]) -> None:
        """Call `work` every so many seconds, and at once again after it returned True; it may fail."""
        thread = threading.Thread(target=self._repeat, args=(seconds, work), name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def close(self, seconds: float = 5) -> None:
        """End the threads: none begins anything new, and each has so many seconds to end what it does."""
        self.ending.set()
        for thread in self._threads:
            thread.join(seconds)

    def _repeat(self, seconds: float, work: Callable[[], bool]) -> None:
        while not self.ending.is_set():
            try:
                busy = work()
            except Exception:
                log.exception("%s failed; it is tried again", threading.current_thread().name)
                busy = False
            if not busy:
                self.ending.wait(seconds)
