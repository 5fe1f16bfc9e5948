"""What the kernel knows of processes: time, memory and bytes written, for themselves and their children."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path


def families(pids: Iterable[int]) -> Iterator[int]:
    """The processes, and whatever descends from them."""
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
    """The processor time that the process has had, which other load on the machine changes little."""
    fields = _stat(Path(f"/proc/{pid}/stat"))
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def exact_cpu_seconds(pid: int) -> float:
    """The same to the microsecond, for the threads that are alive now."""
    spent = 0
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            spent += int((thread / "schedstat").read_text().split()[0])
    return spent / 1e9


def peak_memory(pid: int) -> int:
    """The most bytes of memory that the process has had at once."""
    return _number(pid, "status", "VmHWM") << 10


def bytes_written(pid: int) -> int:
    """Bytes that the process gave to file systems on disks."""
    return _number(pid, "io", "write_bytes")


def _number(pid: int, file: str, name: str) -> int:
    return int(re.search(rf"^{name}:\s+(\d+)", Path(f"/proc/{pid}/{file}").read_text(), re.M)[1])


def _stat(path: Path) -> list[str]:
    """The fields behind the name, which may hold blanks and brackets."""
    return path.read_text().rpartition(")")[2].split()
