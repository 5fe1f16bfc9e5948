"""A relay on the loopback address that behaves like a long line: bytes arrive late, at a limited rate."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Coroutine
from typing import Any

_BLOCK = 1 << 16
#: The size of the sockets' buffers. They are small, so that bytes wait at their sender and not in buffers.
_BUFFER = 1 << 18
#: Seconds by which a timer of the event loop may be late without a loss of rate.
_LATE = 0.02

_Blocks = asyncio.Queue[tuple[float, bytes]]


class LongLine:
    """A relay that runs for the block. No connection shares anything with another one.

    Each byte arrives `delay` seconds after it was sent, and the first ones of a connection after the round
    trip of its handshake. Each direction of a connection carries at most `rate` bytes per second, without a
    limit if that is None.
    """

    def __init__(self, host: str, port: int, *, delay: float = 0, rate: float | None = None):
        #: The address of the server, which may be changed: it is read for each new connection.
        self.target = (host, port)
        self._delay = delay
        self._rate = rate or float("inf")
        #: The number of blocks on their way in one direction.
        self._most = int((2 * delay + _LATE) * (rate or 1 << 30) / _BLOCK) + 2
        self._connections: set[asyncio.Task[None]] = set()

    def __enter__(self) -> LongLine:
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(128)
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="long line", daemon=True)
        self._thread.start()
        self._accepting = asyncio.run_coroutine_threadsafe(self._accept(), self._loop)
        return self

    def __exit__(self, *error: object) -> None:
        self._accepting.cancel()
        self.reset()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._listener.close()

    @property
    def url(self) -> str:
        """The address of the relay."""
        return f"http://127.0.0.1:{self.port}"

    def reset(self) -> None:
        """End all connections, so that both sides of each see a reset."""
        self._run(self._reset())

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _reset(self) -> None:
        connections = list(self._connections)
        for one in connections:
            one.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    async def _accept(self) -> None:
        while True:
            near, _ = await self._loop.sock_accept(self._listener)
            connection = self._loop.create_task(self._relay(near))
            self._connections.add(connection)
            connection.add_done_callback(self._connections.discard)

    async def _relay(self, near: socket.socket) -> None:
        far = socket.socket()
        far.setblocking(False)
        with near, far, contextlib.suppress(ExceptionGroup, OSError):
            for end in (near, far):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                # Until both directions have ended properly, closing is a reset.
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            await self._loop.sock_connect(far, self.target)
            open_from = self._loop.time() + 2 * self._delay
            async with asyncio.TaskGroup() as pumps:
                for source, sink in ((near, far), (far, near)):
                    blocks: _Blocks = asyncio.Queue(self._most)
                    pumps.create_task(self._take(source, blocks, open_from))
                    pumps.create_task(self._deliver(blocks, sink))
            for end in (near, far):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 0, 0))

    async def _take(self, source: socket.socket, blocks: _Blocks, free: float) -> None:
        """Take blocks at the rate of the line, which is free for the first one at the time `free`."""
        while True:
            block = await self._loop.sock_recv(source, _BLOCK)
            now = self._loop.time()
            free = max(free, now - _LATE) + len(block) / self._rate
            await blocks.put((max(free, now) + self._delay, block))
            if not block:
                return
            await asyncio.sleep(free - self._loop.time())

    async def _deliver(self, blocks: _Blocks, sink: socket.socket) -> None:
        """Deliver blocks when they are due, and end the sink's input after the last one."""
        while True:
            due, block = await blocks.get()
            await asyncio.sleep(due - self._loop.time())
            if not block:
                break
            await self._loop.sock_sendall(sink, block)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)
