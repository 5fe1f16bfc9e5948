"""FaultProxy: a loopback HTTP/1.1 proxy between a driver and its real server, which fails on demand.

    with FaultProxy("127.0.0.1", server_port) as proxy:
        proxy.inject(Fault("PUT ", reset_up=100_000), times=2)   # the next two PUTs break off
        store = TapeStore("tape", TapeStore.Options(url=proxy.url, ...))

Each connection carries one request, because the proxy asks both sides to close it after the answer. So a
fault affects exactly the request that it is meant for. Offsets count bytes of bodies, not of headers. There
is no TLS, and nothing is random.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from calotype.stores import Store

_BLOCK = 65_536
_HEAD_MAX = 1 << 20


@dataclass(frozen=True, slots=True)
class Fault:
    """A failure of a request whose first line begins with `line` ("PUT ", "GET /bucket/"; "": any).

    Offsets count bytes of a body: with `_up` the body of the request, with `_down` the body of the answer.

    Attributes:
        refuse: close at once, without a byte.
        latency: wait this number of seconds before the request is passed on.
        status: answer this status, with `headers` and an empty body, without contacting the server.
        reset_up, reset_down: reset both connections (RST) after this number of bytes.
        truncate_down: close the connection normally after this number of bytes.
        corrupt_up, corrupt_down: flip the bits of the byte at this offset.
        deaf: pass on the request, and reset both connections instead of passing on the answer.
        mute: read the request and never answer it, without contacting the server.
    """

    line: str = ""
    refuse: bool = False
    latency: float = 0.0
    status: int | None = None
    headers: tuple[tuple[str, str], ...] = ()
    reset_up: int | None = None
    reset_down: int | None = None
    truncate_down: int | None = None
    corrupt_up: int | None = None
    corrupt_down: int | None = None
    deaf: bool = False
    mute: bool = False


@dataclass
class _Rule:
    fault: Fault
    skip: int
    times: int | None

    def take(self, line: str) -> bool:
        """Return whether the rule applies to this request, and count it."""
        if not line.startswith(self.fault.line) or self.times == 0:
            return False
        if self.skip:
            self.skip -= 1
            return False
        if self.times is not None:
            self.times -= 1
        return True


class FaultProxy:
    """A proxy on a free loopback port; `requests` are the first lines of all requests."""

    def __init__(self, host: str, port: int):
        self.requests: list[str] = []
        self._target = (host, port)
        self._rules: list[_Rule] = []
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listener: socket.socket | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def inject(self, fault: Fault, *, skip: int = 0, times: int | None = 1) -> None:
        """Let `skip` matching requests pass, and apply the fault to the next `times` (None: all)."""
        with self._lock:
            self._rules.append(_Rule(fault, skip, times))

    def heal(self) -> None:
        """Forget all faults."""
        with self._lock:
            self._rules.clear()

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        """Refuse all requests and cut all connections, as if the server were down; then forget all faults."""
        self.inject(Fault(refuse=True), times=None)
        self._cut()
        try:
            yield
        finally:
            self.heal()

    @contextlib.contextmanager
    def silent(self) -> Iterator[None]:
        """Accept all requests and answer none, as if the server hung; then cut all connections."""
        self.inject(Fault(mute=True), times=None)
        try:
            yield
        finally:
            self.heal()
            self._cut()

    def _cut(self) -> None:
        with self._lock:
            for connection in self._open:
                _reset(connection)
                _shut(connection)

    def __enter__(self) -> FaultProxy:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self._listener.getsockname()[1]
        self._start(self._accept, self._listener)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _shut(self._listener)
        with self._lock:
            for connection in self._open:
                _shut(connection)
        while self._threads:
            self._threads.pop().join(timeout=10)

    def _start(self, target: Callable[..., object], *arguments: object) -> threading.Thread:
        thread = threading.Thread(target=target, args=arguments, name="faultproxy", daemon=True)
        self._threads.append(thread)
        thread.start()
        return thread

    def _accept(self, listener: socket.socket) -> None:
        with listener:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                self._start(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        with self._held(client), contextlib.suppress(OSError):
            head, rest = _read_head(client)
            if not head:
                return
            line = head.split(b"\r\n", 1)[0].decode("latin-1")
            with self._lock:
                self.requests.append(line)
                fault = next((rule.fault for rule in self._rules if rule.take(line)), Fault())
            if fault.latency:
                threading.Event().wait(fault.latency)
            if fault.refuse:
                _reset(client)
            elif fault.mute:
                _swallow(client)
            elif fault.status is not None:
                _answer(client, fault)
            else:
                self._forward(client, fault, _closing(head), rest)

    def _forward(self, client: socket.socket, fault: Fault, head: bytes, rest: bytes) -> None:
        server = socket.create_connection(self._target, timeout=60)
        with self._held(server):
            server.settimeout(None)
            server.sendall(head)
            up = _Direction(client, server, fault.reset_up, None, fault.corrupt_up)
            thread = self._start(up.run, rest)
            down = _Direction(server, client, fault.reset_down, fault.truncate_down, fault.corrupt_down)
            down.run_answer(deaf=fault.deaf)
            if not (up.was_reset or down.was_reset):
                _shut(client)
                _shut(server)
            thread.join(timeout=10)

    @contextlib.contextmanager
    def _held(self, connection: socket.socket) -> Iterator[None]:
        with self._lock:
            self._open.add(connection)
        try:
            yield
        finally:
            with self._lock:
                self._open.discard(connection)
            connection.close()


class _Direction:
    """One direction of a connection: it passes bytes on, and fails at the given offsets."""

    def __init__(
        self,
        source: socket.socket,
        sink: socket.socket,
        reset: int | None,
        truncate: int | None,
        corrupt: int | None,
    ):
        self._source = source
        self._sink = sink
        self._stop = min((n for n in (reset, truncate) if n is not None), default=None)
        self._resets = reset is not None
        self._corrupt = corrupt
        self._passed = 0
        self.was_reset = False

    def reset(self) -> None:
        """End both connections with RST; the sockets must still be closed."""
        self.was_reset = True
        _reset(self._source)
        _reset(self._sink)

    def run(self, block: bytes) -> None:
        """Pass on `block` and all following bytes."""
        with contextlib.suppress(OSError):
            while self._pass(block):
                block = self._source.recv(_BLOCK)
                if not block:
                    if not _is_reset(self._sink):
                        self._sink.shutdown(socket.SHUT_WR)
                    return

    def run_answer(self, *, deaf: bool = False) -> None:
        """Pass on the heads of interim answers, and the final answer; if `deaf`, reset instead."""
        with contextlib.suppress(OSError):
            rest = b""
            while True:
                head, rest = _read_head(self._source, rest)
                if not head:
                    return
                interim = head.split(b" ", 2)[1:2] == [b"100"]
                if deaf and not interim:
                    self.reset()
                    return
                self._sink.sendall(head if interim else _closing(head))
                if not interim:
                    break
            self.run(rest)

    def _pass(self, block: bytes) -> bool:
        if self._corrupt is not None and 0 <= self._corrupt - self._passed < len(block):
            at = self._corrupt - self._passed
            block = block[:at] + bytes([block[at] ^ 0xFF]) + block[at + 1 :]
        if self._stop is not None:
            block = block[: self._stop - self._passed]
        self._sink.sendall(block)
        self._passed += len(block)
        if self._stop is None or self._passed < self._stop:
            return True
        if self._resets:
            self.reset()
        return False


@dataclass(frozen=True, slots=True)
class Proxied:
    """A driver that reaches its place only through a proxy."""

    store: Store[Any]
    proxy: FaultProxy


def _read_head(source: socket.socket, begun: bytes = b"") -> tuple[bytes, bytes]:
    """Return the head, including the blank line, and the bytes after it; b"" if there is no head."""
    while b"\r\n\r\n" not in begun and len(begun) < _HEAD_MAX:
        block = source.recv(_BLOCK)
        if not block:
            return b"", begun
        begun += block
    head, blank, rest = begun.partition(b"\r\n\r\n")
    return head + blank, rest


def _closing(head: bytes) -> bytes:
    """Return the head with `Connection: close`."""
    lines = [line for line in head.split(b"\r\n")[:-2] if not line.lower().startswith(b"connection:")]
    return b"\r\n".join([*lines, b"Connection: close", b"", b""])


def _answer(client: socket.socket, fault: Fault) -> None:
    headers = "".join(f"{name}: {value}\r\n" for name, value in fault.headers)
    head = f"HTTP/1.1 {fault.status} Fault\r\n{headers}Content-Length: 0\r\nConnection: close\r\n\r\n"
    client.sendall(head.encode("latin-1"))
    client.shutdown(socket.SHUT_WR)
    client.settimeout(10)
    _swallow(client)  # a close with unread bytes would reset the connection


def _swallow(client: socket.socket) -> None:
    """Read until the client closes the connection."""
    while client.recv(_BLOCK):
        pass


def _reset(connection: socket.socket) -> None:
    """Make the next close send a RST, like a peer that crashed, and wake the thread that reads.

    A close while another thread waits in `recv` would send nothing until that thread returns.
    """
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RD)


def _is_reset(connection: socket.socket) -> bool:
    lingers, seconds = struct.unpack("ii", connection.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8))
    return bool(lingers) and seconds == 0


def _shut(connection: socket.socket | None) -> None:
    if connection is not None:
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
