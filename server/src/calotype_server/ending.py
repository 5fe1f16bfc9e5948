"""End the process in time, even if something hangs.

A call of the application may never return, and Python waits at exit for threads that may never end.
Therefore a thread watches the time after a signal.
"""

from __future__ import annotations

import logging
import math
import os
import signal
import sys
import sysconfig
import threading
import time
from collections.abc import Collection
from types import FrameType
from typing import NoReturn

log = logging.getLogger(__name__)

#: Seconds after the deadline at which SIGALRM ends the process. It is needed if writing to the log blocks, or
#: if a library does not release the interpreter's lock.
KERNEL_WAITS = 5
#: Seconds in which threads end that have nothing to do.
_MOMENT = 0.5
_NAME = "deadline"
_STDLIB = sysconfig.get_path("stdlib")


class Deadline(threading.Thread):
    """A thread that ends the process at a set time, unless the process has ended by itself."""

    def __init__(self) -> None:
        super().__init__(name=_NAME, daemon=True)
        self._at = math.inf
        self._set = threading.Event()
        self.start()

    def within(self, seconds: float) -> None:
        """End the process within `seconds`. A later call can only shorten the time."""
        self._at = min(self._at, time.monotonic() + seconds)
        signal.alarm(math.ceil(self._at - time.monotonic()) + KERNEL_WAITS)
        self._set.set()

    def run(self) -> None:
        """Wait until the deadline, then end the process."""
        self._set.wait()
        while (left := self._at - time.monotonic()) > 0:
            time.sleep(min(left, 0.1))
        end_now(1)


def leaves_threads(since: Collection[threading.Thread] = ()) -> bool:
    """Return whether threads go on running, other than those in `since`. Idle ones end within a moment."""
    until = time.monotonic() + _MOMENT
    while running(since):
        if time.monotonic() >= until:
            return True
        time.sleep(0.01)
    return False


def end_now(status: int) -> NoReturn:
    """Log which threads still run, and end the process with this exit status."""
    log.warning("ended the process while these threads still ran: %s", "; ".join(running()))
    logging.shutdown()
    os._exit(status)


def running(since: Collection[threading.Thread] = ()) -> list[str]:
    """Return the name and function of each other thread; omit threads that only run the standard library.

    Args:
        since: Threads to leave out.
    """
    frames = sys._current_frames()
    found = []
    for thread in threading.enumerate():
        if thread not in since and thread is not threading.current_thread() and thread.name != _NAME:
            where = _place(frames.get(thread.ident or 0))
            found += [f"{thread.name} in {where}"] if where else []
    return sorted(found)


def _place(frame: FrameType | None) -> str | None:
    """Return the innermost function outside the standard library; None if there is none."""
    while frame is not None:
        file = frame.f_code.co_filename
        if "site-packages" in file or not file.startswith((_STDLIB, "<frozen")):
            return f"{frame.f_globals.get('__name__', '?')}.{frame.f_code.co_qualname}"
        frame = frame.f_back
    return None
