"""Limit the rate of a transfer, and wait between its attempts."""

from __future__ import annotations

import threading
import time

from calotype_client.errors import Unavailable
from calotype_client.transfers.progress import Progress

#: The pauses are 0.5, 1, 2, 4, 8, 16, 16 and 16 seconds.
_TRIES, _FIRST, _LONGEST = 9, 0.5, 16.0


class RateLimit:
    """A limit of bytes in a second, which all connections of a transfer share. None means no limit."""

    def __init__(self, rate: int | None):
        self._rate = rate
        self._lock = threading.Lock()
        self._free_at = time.monotonic()

    def take(self, count: int) -> None:
        """Wait until `count` more bytes keep the limit."""
        if self._rate is None:
            return
        with self._lock:
            now = time.monotonic()
            begin = max(now, self._free_at)
            self._free_at = begin + count / self._rate
        time.sleep(max(0.0, self._free_at - now))


class Patience:
    """Retries after broken connections, for about a minute.

    Each pause is twice as long as the one before, up to `_LONGEST`. Bytes that arrive begin a new minute.
    """

    def __init__(self, progress: Progress):
        self._progress = progress
        self._failures = 0

    def reset(self) -> None:
        """Note that the transfer went on."""
        self._failures = 0

    def wait(self, error: Unavailable) -> None:
        """Wait before the next attempt; raise the error if there were too many."""
        self._failures += 1
        if self._failures >= _TRIES:
            error.advice = "Run the same command again to go on."
            raise error
        pause = min(_LONGEST, _FIRST * 2 ** (self._failures - 1))
        self._progress.phase("retry", f"{error.message} Trying again in {pause:g} s")
        time.sleep(pause)
