"""Threads that work on one transfer: all end when one fails, or when the caller is interrupted."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable

#: Seconds for which threads may note what they have done, after an interrupt.
_GRACE = 0.5


class Workers:
    """The threads of a transfer. Their work looks at `stopped` between blocks."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._errors: list[BaseException] = []

    @property
    def stopped(self) -> bool:
        """Return True if the work must end early."""
        return self._stop.is_set()

    def run(self, work: Iterable[Callable[[], None]]) -> None:
        """Do each work in a thread, wait for all, and raise the first error.

        The threads do not keep the process alive: after an interrupt, one that still waits for its server is
        left behind.
        """
        threads = [threading.Thread(target=self._do, args=[each], daemon=True) for each in work]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        except BaseException:
            self._stop.set()
            end = time.monotonic() + _GRACE
            for thread in threads:
                thread.join(max(0.0, end - time.monotonic()))
            raise
        if self._errors:
            raise self._errors[0]

    def _do(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - `run` raises it in the thread of the caller
            self._errors.append(error)
            self._stop.set()
