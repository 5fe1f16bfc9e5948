"""One connection: waitress's channel, with streamed bodies, sendfile, deadlines and a lingering close."""

from __future__ import annotations

import errno
import fcntl
import ipaddress
import socket
import struct
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import cached_property
from typing import Any

from waitress.channel import HTTPChannel

from calotype_server.body import RequestBody, SocketReader
from calotype_server.callers import RESUMED, Caller
from calotype_server.parser import RequestParser, ServiceUnavailable
from calotype_server.pausing import Paused
from calotype_server.sending import BlockBuffer, FilePart
from calotype_server.settings import ServerSettings
from calotype_server.task import Task

#: Maximum bytes of files that are sent on one connection before other connections get their turn.
TURN = 1 << 20
#: Bytes from which a block is sent without a copy. A smaller one is cheaper to copy than to manage.
LARGE = 1 << 15
#: Maximum bytes of a refused body that the server reads and drops before it closes the connection.
LINGER_BYTES = 1 << 18

_GONE = frozenset({errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN, errno.ESHUTDOWN, errno.ECONNABORTED})


class Channel(HTTPChannel):
    """A connection. While a request runs, only its worker reads from the socket."""

    adj: ServerSettings
    requests: list[RequestParser]
    request: RequestParser | None

    parser_class = RequestParser

    #: The task whose request has paused; None if no request is in a pause.
    paused: Task | None = None
    #: True from the arrival of a request until its worker has given the connection back to the loop.
    is_served = False
    #: True if the client may still be sending when the response ends, and so needs time to read it.
    _lingers = False
    #: The time.time() until which the client may read the response; None until the response is sent.
    _linger_until: float | None = None
    _linger_bytes = LINGER_BYTES
    #: Bytes of files that this flush may still send.
    _turn = 0
    #: Number of bytes given to the kernel.
    _sent = 0
    #: How many of the sent bytes the client had acknowledged at the last check.
    _taken = -1
    #: The time.time() of the last change of `_taken`, or of the last check without pending bytes.
    _taken_since = 0.0

    @cached_property
    def counts_as(self) -> str:
        """The address that this connection is counted for: see `connections_per_address`."""
        return counted_as(self.addr[0])

    @property
    def descriptor(self) -> int:
        """The descriptor under which the loop knows this connection; -1 once it is closed."""
        return -1 if self._fileno is None else int(self._fileno)

    # -- reading

    def handle_read(self) -> None:
        """Read a request's bytes. While the connection lingers, drop them, and close after `LINGER_BYTES`."""
        if self._linger_until is None:
            super().handle_read()
            return
        try:
            self._linger_bytes -= len(self.recv(self.adj.recv_bytes))
        except OSError:
            self._linger_bytes = 0
        if self._linger_bytes <= 0:
            self.handle_close()

    @property
    def caller(self) -> Caller:
        """The sender of the first pending request. It stays the same until that request ends, or pauses."""
        if self.paused is not None:
            return RESUMED
        request = self.requests[0]
        if request.caller is None:
            request.caller = self.server.task_dispatcher.callers.of(request.token, self.counts_as)
        return request.caller

    def set_caller(self, name: str) -> None:
        """Record that the token of the running request belongs to the caller `name`."""
        self.server.task_dispatcher.callers.learn(self.requests[0].token, name)

    def service(self) -> None:
        """Run the first pending request, or continue it after a pause. A worker calls this."""
        self.server.task_dispatcher.serving.channel = self
        request, resumed, self.paused = self.requests[0], self.paused is not None, None
        try:
            with self.server.task_dispatcher.turn():
                self._lingers = request.streamed or request.error is not None
                if request.reads_body and not resumed:
                    self._serve_with_body(request)
                else:
                    super().service()
        except Paused:
            self._rest(request)
        else:
            self._end_task(request)

    def task_class(self, channel: Channel, request: RequestParser) -> Task:
        """Return the task for a request: after a pause, the task that has paused. waitress calls this."""
        request.task = request.task or Task(self, request)
        return request.task

    def _end_task(self, request: RequestParser) -> None:
        """Tell a request that it has ended. By then, a worker may run the next one of the connection."""
        task, request.task = request.task, None
        if task is not None:
            try:
                task.pause.end()
            except Exception:
                self.logger.exception("Exception at the end of %s", task.request.path)

    def _rest(self, request: RequestParser) -> None:
        """Leave the request to the loop, until it is woken. Its worker calls this, as the last step."""
        self.paused = task = request.task
        self.server.pull_trigger()
        if task is not None and not task.pause.rest():
            self.resume()

    @property
    def rests(self) -> bool:
        """True while a request of this connection is in a pause."""
        return self.paused is not None and not self.is_served

    def wake(self) -> None:
        """End the pause of a request, if there is one."""
        if (paused := self.paused) is not None:
            paused.pause.wake()

    def resume(self) -> None:
        """Queue the request that has paused, so that a worker continues it. Any thread may call this."""
        self.server.add_task(self)

    def _serve_with_body(self, request: RequestParser) -> None:
        connection, request.slot = None, self.server.task_dispatcher.slot(self)
        try:
            connection = self._open_body(request)
            super().service()
        finally:
            if connection is not None:
                connection.close()
            request.slot.leave()

    @contextmanager
    def release_worker(self) -> Iterator[None]:
        """Let other requests use this request's worker and slot while the block waits for a backend."""
        slot = self.requests[0].slot if self.requests else None
        with self.server.task_dispatcher.release_worker(), slot.lent() if slot is not None else nullcontext():
            yield

    def expect_document(self) -> None:
        """Treat the body of the running request as a document. The application calls this."""
        request = self.requests[0]
        if request.body is not None and request.slot is not None and not request.is_document:
            request.is_document = True
            request.slot.become_document()
            request.body.limit(self.adj.document_timeout)

    def _open_body(self, request: RequestParser) -> socket.socket | None:
        """Give the request its body, and return the worker's own socket, from which the body is read.

        The loop may close the channel's socket at any time, and the kernel may give its number to another
        connection. The worker's own socket keeps referring to this connection.
        """
        with self.outbuf_lock:
            if not self.connected:
                return None
            try:
                connection: socket.socket = self.socket.dup()
            except OSError:
                request.error = ServiceUnavailable("There are too many open files")
                return None
        wire = SocketReader(
            connection, request.surplus, self.adj, self._invite if request.wants_continue else None
        )
        length = None if request.chunked else request.content_length
        request.surplus, request.behind = b"", self._take_back
        request.body = RequestBody(wire, length, self.adj.max_request_body_size)
        if request.is_document:
            request.body.limit(self.adj.document_timeout)
        return connection

    def _invite(self) -> None:
        self.write_soon(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _take_back(self, rest: bytes) -> None:
        """Handle the bytes that were received after a streamed body, as the loop would."""
        if rest and not self.close_when_flushed:
            self.received(rest)

    # -- writing

    def handle_write(self) -> None:
        """Flush, and close if a close is pending. If the client may still be sending, linger first."""
        if self._lingers and self.close_when_flushed and not self.will_close:
            self._flush_exception(self._flush_some)
            if not self.connected:  # the flush has found the connection broken, and has closed it
                return
            if not self.total_outbufs_len and not self.will_close:
                self._linger()
                return
        super().handle_write()
        if (paused := self.paused) is not None:
            paused.pause.flushed()

    def _linger(self) -> None:
        self.close_when_flushed = False
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            self.handle_close()
        else:
            self._linger_until = time.time() + self.adj.linger_timeout

    def handle_close(self) -> None:
        """Close the connection. A worker that reads a body from it gets an error at once.

        A request that has paused is woken, so that a worker ends it.
        """
        with self.outbuf_lock:
            if self.socket is not None and self.requests:
                self.cut()
            super().handle_close()
        self.wake()

    def _flush_some(self, do_close: bool = True) -> bool:
        self._turn = TURN
        return bool(super()._flush_some(do_close))

    def write_soon(self, data: Any) -> int:
        """Send data, or keep it until the client takes it. Large blocks are not copied."""
        if isinstance(data, bytes) and len(data) >= LARGE:
            data = BlockBuffer(data)
        return int(super().write_soon(data))

    def send(self, data: Any, do_close: bool = True) -> int:
        """Send bytes, or a part of a file, and return how many were sent."""
        if not isinstance(data, FilePart):
            sent: int = super().send(data, do_close=do_close)
            self._sent += sent
            return sent
        if not self._turn:
            return 0
        try:
            sent = data.buffer.send(self.socket.fileno(), min(data.count, self._turn))
        except OSError as error:
            if error.errno not in _GONE:
                raise
            if do_close:
                self.handle_close()
            return 0
        self._turn -= sent
        self._sent += sent
        return sent

    def _flush_outbufs_below_high_watermark(self) -> None:
        if self.total_outbufs_len > self.adj.outbuf_high_watermark:
            with self.server.task_dispatcher.release_worker():
                super()._flush_outbufs_below_high_watermark()

    # -- deadlines

    @property
    def busy(self) -> bool:
        """True while a request or its response is in progress, even if it has paused."""
        return bool(
            self.requests or self.request is not None or self.total_outbufs_len or self.close_when_flushed
        )

    def enforce_deadlines(self, now: float) -> None:
        """Cut the connection if its client has missed a deadline. `now` is a time.time()."""
        if not self.total_outbufs_len:
            self._taken_since = now  # there is nothing to acknowledge
        if self._linger_until is not None:
            late = now >= self._linger_until
        elif self.total_outbufs_len:
            late = self._is_stalled(now)
        elif self.requests:
            late = False
            if self.request is not None:
                self.request.started = now  # the next request is not read meanwhile
        elif self.request is not None:
            late = now >= self.request.deadline
        else:
            late = now >= self.last_activity + self.adj.channel_timeout
        if late:
            self.cut()

    def _is_stalled(self, now: float) -> bool:
        """Return whether the client has acknowledged nothing for too long, according to the kernel."""
        taken = self._sent - _unacknowledged(self.socket)
        if taken != self._taken:
            self._taken, self._taken_since = taken, now
        return now >= self._taken_since + self.adj.send_timeout

    def cut(self) -> None:
        """Shut the connection down. The loop closes the socket, because it must never poll a closed one."""
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            self.will_close = True


def _unacknowledged(connection: socket.socket) -> int:
    """Return how many bytes are in the kernel's send queue; 0 if the kernel does not say."""
    try:
        return int(struct.unpack("i", fcntl.ioctl(connection, termios.TIOCOUTQ, bytes(4)))[0])
    except OSError:
        return 0


def counted_as(address: str) -> str:
    """Return the address that limits apply to. In IPv6 it is the /64, because one host can use all of it."""
    if ":" not in address:
        return address
    number = ipaddress.IPv6Address(address.partition("%")[0])
    if number.ipv4_mapped:
        return str(number.ipv4_mapped)
    return str(ipaddress.IPv6Network((number, 64), strict=False))
