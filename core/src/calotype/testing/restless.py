"""Forced switches between threads at each instruction of a driver, so that race conditions show."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any

from calotype.stores import Store

#: Seconds that a thread sleeps before each instruction of the driver. Any value above 0 lets others run.
BRIEFLY = 1e-6
#: Packages of base classes that do not belong to the driver.
FOREIGN = ("calotype.stores", "builtins", "abc", "typing")


@contextlib.contextmanager
def restless(driver: Store) -> Iterator[None]:
    """Interrupt the threads that begin in the block before each instruction of the driver's package.

    Python itself switches threads only every five milliseconds. A driver can check and write a thousand times
    between two switches, so few races would show.
    """
    own = tuple(_package(kind) for kind in type(driver).__mro__ if not kind.__module__.startswith(FOREIGN))

    over = threading.Event()

    def begin(frame: FrameType, event: str, argument: Any) -> Any:
        name = frame.f_globals.get("__name__", "")
        if over.is_set() or not f"{name}.".startswith(own):
            return None
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        return step

    def step(frame: FrameType, event: str, argument: Any) -> Any:
        if event == "opcode" and not over.is_set():
            time.sleep(BRIEFLY)
        return step

    before = threading.gettrace()
    threading.settrace(begin)
    try:
        yield
    finally:
        over.set()  # for threads that outlive the block
        threading.settrace(before)


def _package(kind: type) -> str:
    """Return the name of the package in which a class is defined, with a dot at its end."""
    module = sys.modules.get(kind.__module__)
    return f"{getattr(module, '__package__', '') or kind.__module__}."
