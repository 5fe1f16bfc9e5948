"""The memory of this process, as evidence of how much a driver holds at a time."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import re
from pathlib import Path

import pytest

SELF = Path("/proc/self")


class Growth:
    """The peak growth of the process's resident memory in bytes.

    It includes memory outside of Python's allocator, and pages of mapped files that the driver has touched.
    """

    def __init__(self) -> None:
        need(SELF / "clear_refs")
        gc.collect()
        with contextlib.suppress(AttributeError):
            ctypes.CDLL(None).malloc_trim(0)  # memory that glibc keeps would hide a driver's use
        SELF.joinpath("clear_refs").write_text("5")  # resets VmHWM to the memory in use
        self._before = _status("VmRSS")

    def peak(self) -> int:
        return _status("VmHWM") - self._before


def need(path: Path) -> None:
    """Skip the test if this system lacks a path."""
    if not path.exists():
        pytest.skip(f"this system has no {path}")


def _status(name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB", SELF.joinpath("status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) << 10
