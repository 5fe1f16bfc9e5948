"""Measure durations, and the server's processor time meanwhile."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from statistics import median

from server import Server


class Timing:
    """The measured rounds of one figure."""

    def __init__(self, server: Server):
        self._server = server
        self._seconds: list[float] = []
        self._cpu: list[float] = []

    @contextlib.contextmanager
    def round(self, count: int = 1) -> Iterator[None]:
        """Measure the block as one round. `count` is the number of repetitions in the block."""
        cpu, began = self._server.cpu_seconds(), time.perf_counter()
        yield
        self._seconds.append((time.perf_counter() - began) / count)
        self._cpu.append((self._server.cpu_seconds() - cpu) / count)

    @property
    def seconds(self) -> float:
        """The median duration of one repetition, in seconds."""
        return median(self._seconds)

    @property
    def cpu(self) -> float:
        """The median of the server's processor time for one repetition, in seconds."""
        return median(self._cpu)
