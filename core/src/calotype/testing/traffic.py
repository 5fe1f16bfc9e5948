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
        """The number of bytes since the count began."""
        return sum(self._blocks) + _read_by_kernel() - self._before

    def counting(self, receive: Callable[..., Any]) -> Callable[..., Any]:
        """Return a method of sockets that receives bytes, or their number, and counts them."""

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
    """Return the bytes of all calls of read(2), which are those of files; 0 if the kernel does not say."""
    with contextlib.suppress(OSError):
        found = re.search(r"^rchar: (\d+)$", Path("/proc/self/io").read_text(), re.MULTILINE)
        if found:
            return int(found[1])
    return 0
