"""The bytes that this process reads from files and sockets, as evidence of how a driver reaches an offset."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest


class Traffic:
    """A count of bytes: those of Python's sockets, and those that the kernel reports for files and pipes."""

    def __init__(self) -> None:
        self._blocks: list[int] = []
        self._before = _read_by_kernel()

    @property
    def count(self) -> int:
        """The number of bytes that were read since the count began."""
        return sum(self._blocks) + _read_by_kernel() - self._before

    def counting(self, receive: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap a socket's method that returns bytes, or their number, so that they are counted."""

        def received(*arguments: Any, **options: Any) -> Any:
            result = receive(*arguments, **options)
            self._blocks.append(result if isinstance(result, int) else len(result))
            return result

        return received


@contextlib.contextmanager
def counted() -> Iterator[Traffic]:
    """Count the bytes that all threads of this process read during the block."""
    traffic = Traffic()
    with pytest.MonkeyPatch.context() as patch:
        for kind, methods in ((socket.socket, ("recv", "recv_into")), (ssl.SSLSocket, ("read",))):
            for method in methods:
                patch.setattr(kind, method, traffic.counting(getattr(kind, method)))
        yield traffic


def _read_by_kernel() -> int:
    """Return how many bytes read(2) has read, which are those of files and pipes; 0 if that is unknown."""
    with contextlib.suppress(OSError):
        found = re.search(r"^rchar: (\d+)$", Path("/proc/self/io").read_text(), re.MULTILINE)
        if found:
            return int(found[1])
    return 0
