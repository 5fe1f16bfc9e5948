"""Metrics that the processes of one service add up, in files of prometheus_client's multiprocess mode.

The mode is used with three changes. A process's files are named by a number that it holds, and not by its
id. The next process that holds the number continues the counters, so the number of files is bounded. A full
disk ends no process. And the gauges of a process that has ended are no longer reported.
"""

from __future__ import annotations

import fcntl
import itertools
import logging
import math
import mmap
import os
import struct
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from prometheus_client import values
from prometheus_client.metrics_core import Metric
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

log = logging.getLogger(__name__)

#: The variable that names the directory of the files. The supervisor sets it for its processes, and the
#: operator for those of another server.
_DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"
#: The bytes of a file's entry beside its key: the key's length and padding, a value and its time.
_BESIDE_KEY = 32


class SharedMetrics(MultiProcessCollector):
    """The sums over all processes that share a directory."""

    def collect(self) -> list[Metric]:
        """Return the metrics; values that no process knows are left out."""
        _forget_ended(Path(self._path))
        return list(without_unknown(super().collect()))


def share_metrics() -> SharedMetrics | None:
    """Let the metrics that this process makes from now on count in files, and return a collector of the sums.

    Return None if the process counts alone, because the variable is not set or its directory cannot be used.
    """
    directory = os.environ.get(_DIRECTORY)
    if not directory:
        return None
    try:
        collector = SharedMetrics(None, directory)
        number = _take_number(Path(directory))
    except (OSError, ValueError) as error:
        log.warning("this process counts its metrics alone, because it cannot share them: %s", error)
        values.ValueClass = values.MutexValue
        return None
    values.MmapedDict = _Reserved  # type: ignore[misc]
    values.ValueClass = _shared_or_own(values.MultiProcessValue(lambda: number))
    return collector


def without_unknown(families: Iterable[Metric]) -> Iterable[Metric]:
    """Yield the metrics without the samples whose value is NaN."""
    for family in families:
        family.samples = [sample for sample in family.samples if not math.isnan(sample.value)]
        yield family


def _shared_or_own(shared: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that makes a value in a file, or in this process if the file has no room for it."""

    def make(*args: Any, **kwargs: Any) -> Any:
        try:
            return shared(*args, **kwargs)
        except OSError as error:
            log.warning("the metric %s is not counted in this process until it ends: %s", args[1], error)
            return values.MutexValue(*args, **kwargs)

    return make


class _Reserved(MmapedDict):
    """A file of values whose space is reserved before it is used.

    A process that writes to a mapped page for which the disk has no room is killed by SIGBUS.
    """

    def __init__(self, filename: str, read_mode: bool = False):
        if not os.path.exists(filename):
            fresh = f"{filename}.new"  # so that no process reads the file before its head is written
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
            with open(os.open(fresh, flags, 0o600), "wb") as file:
                file.write(struct.pack("i", 8).ljust(mmap.PAGESIZE, b"\0"))
            os.rename(fresh, filename)
        super().__init__(filename, read_mode)

    def _init_value(self, key: str) -> None:
        os.posix_fallocate(self._f.fileno(), 0, self._used + len(key.encode()) + _BESIDE_KEY)
        super()._init_value(key)


def _take_number(directory: Path) -> int:
    """Return the lowest free number, which this process holds until it ends."""
    for number in itertools.count():
        descriptor = _lock(directory / f"{number}.lock")
        if descriptor is not None:  # it stays open, and with it the lock
            mark_process_dead(number, str(directory))
            return number
    raise AssertionError


def _forget_ended(directory: Path) -> None:
    """Remove the gauges of processes that have ended."""
    for path in directory.glob("*.lock"):
        descriptor = _lock(path)
        if descriptor is not None:
            mark_process_dead(path.stem, str(directory))
            os.close(descriptor)


def _lock(path: Path) -> int | None:
    """Return the descriptor of a locked file; None if another process, or this one, has locked it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
