"""Limit the rate of a transfer, and wait between its attempts."""

from __future__ import annotations

import threading
import time

from calotype_client.errors import Unavailable
from calotype_client.transfers.progress import Progress


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
    """Retries after broken connections: each pause is twice as long, and bytes that arrive reset them."""

    def __init__(self, progress: Progress, tries: int = 6, first: float = 0.5):
        self._progress = progress
        self._tries = tries
        self._first = first
        self._failures = 0

    def reset(self) -> None:
        """Note that the transfer went on."""
        self._failures = 0

    def wait(self, error: Unavailable) -> None:
        """Wait before the next attempt; raise the error if there were too many."""
        self._failures += 1
        if self._failures >= self._tries:
            raise error
        pause = self._first * 2 ** (self._failures - 1)
        self._progress.phase(f"{error.message} Trying again in {pause:g} s")
        time.sleep(pause)
