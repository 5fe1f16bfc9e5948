"""The end of the process: it comes in time, whatever hangs.

A driver's call, a pool of threads or a driver's `close` may never return, and Python waits for some of
them when it ends. So from the signal on, a thread of ours watches the time.
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

#: Seconds between our own end of the process and the kernel's, where even ours cannot be carried out: a log
#: that takes no lines, a library that keeps the interpreter to itself.
KERNEL_WAITS = 5
_NAME = "deadline"
_STDLIB = sysconfig.get_path("stdlib")


class Deadline(threading.Thread):
    """Ends the process when its time is over, unless it has ended by itself."""

    def __init__(self) -> None:
        super().__init__(name=_NAME, daemon=True)
        self._at = math.inf
        self._set = threading.Event()
        self.start()

    def within(self, seconds: float) -> None:
        """End the process in so many seconds at the latest. A later call can only bring that forward."""
        self._at = min(self._at, time.monotonic() + seconds)
        signal.alarm(math.ceil(self._at - time.monotonic()) + KERNEL_WAITS)
        self._set.set()

    def run(self) -> None:
        """Wait until then."""
        self._set.wait()
        while (left := self._at - time.monotonic()) > 0:
            time.sleep(min(left, 0.1))
        end_now(1)


def end_now(status: int) -> NoReturn:
    """End the process with that exit status, and say in the log what still runs."""
    log.warning("ended the process while these threads still ran: %s", "; ".join(running()))
    logging.shutdown()
    os._exit(status)


def running(since: Collection[threading.Thread] = ()) -> list[str]:
    """Return the name of each other thread, and the function it is in, if that is not the standard library's.

    Args:
        since: Threads that do not count.
    """
    frames = sys._current_frames()
    found = []
    for thread in threading.enumerate():
        if thread not in since and thread is not threading.current_thread() and thread.name != _NAME:
            where = _place(frames.get(thread.ident or 0))
            found += [f"{thread.name} in {where}"] if where else []
    return sorted(found)


def _place(frame: FrameType | None) -> str | None:
    """Return the innermost function outside of the standard library; None if there is none."""
    while frame is not None:
        file = frame.f_code.co_filename
        if "site-packages" in file or not file.startswith((_STDLIB, "<frozen")):
            return f"{frame.f_globals.get('__name__', '?')}.{frame.f_code.co_qualname}"
        frame = frame.f_back
    return None
