"""Children: forked processes that use a driver as another worker of the service would, and can be killed.

A child is a fork and not a new interpreter, because the test's driver exists only in this process, and its
options may not be picklable. The child makes a driver of its own, so it uses none of its parent's connections
and locks.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
import traceback
import warnings
from collections.abc import Callable, Iterator

from calotype.stores import Reader

#: The first word of the line with which a child reports an exception.
_FAILED = "failed "

#: Sends one line to the parent.
Tell = Callable[[str], None]


class Child:
    """A running child, as its parent sees it."""

    def __init__(self, pid: int, lines: int):
        self._pid = pid
        self._lines = lines
        self._text = b""
        self._is_running = True

    def hear(self, seconds: float) -> str:
        """Return the next line that the child sends.

        Raises:
            AssertionError: the child sends nothing in this time, or its work has raised an exception.
        """
        end = time.monotonic() + seconds
        while b"\n" not in self._text:
            ready, _, _ = select.select([self._lines], [], [], max(0, end - time.monotonic()))
            assert ready, f"the driver in another process has not answered for {seconds:g} seconds"
            block = os.read(self._lines, 65_536)
            assert block, "the driver has ended its process"
            self._text += block
        line, _, self._text = self._text.partition(b"\n")
        said = line.decode()
        assert not said.startswith(_FAILED), f"in another process: {said.removeprefix(_FAILED)}"
        return said

    def kill(self) -> None:
        """Kill the child as the kernel does if memory runs out, and wait until it has ended."""
        if self._is_running:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
            self._is_running = False


@contextlib.contextmanager
def forked(work: Callable[[Tell, Reader], object]) -> Iterator[Child]:
    """Run `work` in a child, which is killed at the end of the block.

    Args:
        work: Called with `tell`, which sends a line to the parent, and with a reader that blocks until the
            parent ends. A child that waits for this reader therefore does not outlive its parent.
    """
    lines, told = os.pipe()
    waiting, held = os.pipe()
    with warnings.catch_warnings():  # Python 3.12 warns of every fork while there are threads
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        os.close(lines)
        os.close(held)
        _work(work, told, waiting)
    os.close(told)
    os.close(waiting)
    child = Child(pid, lines)
    try:
        yield child
    finally:
        child.kill()
        os.close(lines)
        os.close(held)


def _work(work: Callable[[Tell, Reader], object], told: int, waiting: int) -> None:
    """Run the child's work, and end the process, so that the child does not continue the test."""

    def tell(line: str) -> None:
        os.write(told, line.replace("\n", " ").encode(errors="replace") + b"\n")

    try:
        work(tell, os.fdopen(waiting, "rb", buffering=0))
    except BaseException as error:  # noqa: BLE001 - the parent reports it
        tell(_FAILED + "".join(traceback.format_exception_only(error)).strip())
    finally:
        os._exit(0)


class Held:
    """A source that tells the parent that `at` bytes were read, and then blocks until the parent ends."""

    def __init__(self, source: Reader, at: int, tell: Tell, end: Reader):
        self._source = source
        self._left = at
        self._tell = tell
        self._end = end

    def read(self, size: int = -1, /) -> bytes:
        if self._left <= 0:
            self._tell("reached")
            self._end.read(1)
            os._exit(0)
        block = self._source.read(
            min(self._left, 65_536) if size is None or size < 0 else min(size, self._left)
        )
        self._left -= len(block)
        return block

    def close(self) -> None:
        """Do nothing."""
