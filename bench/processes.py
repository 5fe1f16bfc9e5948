"""Processor time, memory and written bytes of processes and their children, from the kernel."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path


def families(pids: Iterable[int]) -> Iterator[int]:
    """Yield these processes and their descendants."""
    children: dict[int, list[int]] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            children.setdefault(int(_stat(status)[1]), []).append(int(status.parent.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    waiting = list(pids)
    while waiting:
        pid = waiting.pop()
        yield pid
        waiting += children.get(pid, [])


def cpu_seconds(pid: int) -> float:
    """Return the processor time of a process in seconds, which other load changes little."""
    fields = _stat(Path(f"/proc/{pid}/stat"))
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def exact_cpu_seconds(pid: int) -> float:
    """Return the processor time of the process's current threads in seconds, precise to microseconds."""
    spent = 0
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            spent += int((thread / "schedstat").read_text().split()[0])
    return spent / 1e9


def peak_memory(pid: int) -> int:
    """Return the peak memory of the process in bytes."""
    return _number(pid, "status", "VmHWM") << 10


def proportional_memory(pid: int) -> int:
    """Return the memory of the process in bytes, with its share of the memory that it shares with others."""
    return _number(pid, "smaps_rollup", "Pss") << 10


def bytes_written(pid: int) -> int:
    """Return the number of bytes that the process has written to file systems on disks."""
    return _number(pid, "io", "write_bytes")


def _number(pid: int, file: str, name: str) -> int:
    return int(re.search(rf"^{name}:\s+(\d+)", Path(f"/proc/{pid}/{file}").read_text(), re.M)[1])


def _stat(path: Path) -> list[str]:
    """Return the fields after the program's name. The name itself may contain blanks and brackets."""
    return path.read_text().rpartition(")")[2].split()
