"""Many connections that each send one request after another, from one process."""

from __future__ import annotations

import asyncio
import os
import re
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from client import request

#: Pause of a connection whose request was refused, in seconds.
_PAUSE = 0.1
_WARM_UP = 0.5
_BODY = 64 << 10


@dataclass
class Load:
    """The times of answered requests in seconds, the number of refused ones, and the duration of the load."""

    waits: list[float] = field(default_factory=list)
    refused: int = 0
    seconds: float = 0

    def figures(self) -> dict[str, float]:
        """Return the requests per second, the percentiles in milliseconds, and the share of refusals."""
        waits = sorted(self.waits) or [0.0]
        return {
            "rate": len(self.waits) / self.seconds,
            "p50": waits[len(waits) // 2] * 1000,
            "p99": waits[int(len(waits) * 0.99)] * 1000,
            "refused": self.refused / max(1, self.refused + len(self.waits)),
        }


def head(path: str) -> Callable[[], bytes]:
    """Return a function that returns a HEAD request."""
    sent = request("HEAD", path, None, {})
    return lambda: sent


def get(path: str) -> Callable[[], bytes]:
    """Return a function that returns a GET request."""
    sent = request("GET", path, None, {})
    return lambda: sent


def create() -> Callable[[], bytes]:
    """Return a function that returns a request for a new image with 64 KiB that no other image has."""
    fields = {"Content_Type": "application/octet-stream", "x_image_meta_name": "load"}
    begin, rest = request("POST", "/images", _BODY, fields), os.urandom(_BODY - 16)
    return lambda: begin + os.urandom(16) + rest


def run(port: int, ask: Callable[[], bytes], connections: int, seconds: float) -> Load:
    """Let all connections send requests for some seconds, after a short time that does not count."""
    _allow_descriptors(connections)
    asyncio.run(_run(port, ask, connections, _WARM_UP))
    return asyncio.run(_run(port, ask, connections, seconds))


def _allow_descriptors(connections: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < connections + 100:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, connections + 100), hard))


async def _run(port: int, ask: Callable[[], bytes], connections: int, seconds: float) -> Load:
    load, began = Load(), time.perf_counter()
    clients = (_repeat(port, ask, began + seconds, load) for _ in range(connections))
    await asyncio.gather(*clients)
    load.seconds = time.perf_counter() - began
    return load


async def _repeat(port: int, ask: Callable[[], bytes], end: float, load: Load) -> None:
    while time.perf_counter() < end:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        again = True
        while again and time.perf_counter() < end:
            sent, began = ask(), time.perf_counter()
            writer.write(sent)
            status, again = await _answer(reader, sent.startswith(b"HEAD"))
            if status < 400:
                load.waits.append(time.perf_counter() - began)
            elif status == 503:
                load.refused += 1
                await asyncio.sleep(_PAUSE)
            else:
                raise SystemExit(f"{sent[:60]!r}: {status}")
        writer.close()


async def _answer(reader: asyncio.StreamReader, without_body: bool) -> tuple[int, bool]:
    """Read a response; return its status, and whether the connection stays open."""
    fields = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"\r\nContent-Length: *(\d+)", fields, re.I)
    if length and not without_body:
        await reader.readexactly(int(length[1]))
    closing = re.search(rb"\r\nConnection: *close", fields, re.I)
    return int(fields[9:12]), closing is None
