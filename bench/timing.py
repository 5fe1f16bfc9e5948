"""Durations, and the server's processor time."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from statistics import median

from server import Server


class Timing:
    """The rounds of one figure. `count` is the number of repetitions in a round."""

    def __init__(self, server: Server):
        self._server = server
        self._seconds: list[float] = []
        self._cpu: list[float] = []

    @contextlib.contextmanager
    def round(self, count: int = 1) -> Iterator[None]:
        """Measure the block as a round."""
        cpu, began = self._server.cpu_seconds(), time.perf_counter()
        yield
        self._seconds.append((time.perf_counter() - began) / count)
        self._cpu.append((self._server.cpu_seconds() - cpu) / count)

    @property
    def seconds(self) -> float:
        """The median of the rounds' seconds."""
        return median(self._seconds)

    @property
    def cpu(self) -> float:
        """The median of the rounds' seconds of the server's processor time."""
        return median(self._cpu)
