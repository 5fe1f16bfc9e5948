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

from waitress.channel import ClientDisconnected, HTTPChannel
from waitress.task import ErrorTask, WSGITask

from calotype_server.body import BodyError, RequestBody, SocketReader
from calotype_server.callers import Caller
from calotype_server.parser import RequestParser, ServiceUnavailable
from calotype_server.sending import FileBuffer, FilePart

#: Bytes of files sent for one connection before others get their turn.
TURN = 1 << 20
#: Bytes that a refused sender may still send, to get at the answer.
LINGER_BYTES = 1 << 18

_LENGTH = "content-length"
_GONE = frozenset({errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN, errno.ESHUTDOWN, errno.ECONNABORTED})


class Task(WSGITask):
    """waitress's task, which knows when the connection cannot be used again."""

    def get_environment(self) -> dict[str, Any]:
        """waitress's, with the wrapper for files that sendfile sends, and three ways to tell us more.

        Within `with environ["calotype.release_worker"]():` an application waits for others, or their
        bytes: another worker does its work, and another request may read its body.
        `environ["calotype.document"]()` says that the body is a document, whatever its Content-Type.
        `environ["calotype.caller"](name)` says whose the request is, because callers take turns.
        `environ["calotype.admin"]` is there when the server has an admin listener, and says whether the
        request came through it. No client can set it, because the names of headers begin with `HTTP_`.
        """
        environ = super().get_environment()
        environ["wsgi.file_wrapper"] = FileBuffer
        environ["calotype.release_worker"] = self.channel.stood_in
        environ["calotype.document"] = self.channel.expect_document
        environ["calotype.caller"] = self.channel.learn_caller
        if self.channel.server.is_admin is not None:
            environ["calotype.admin"] = self.channel.server.is_admin
        return environ

    def build_response_header(self) -> bytes:
        """waitress's, with `Connection: close` where part of the body stays unread, or the server ends.

        To a HEAD without Content-Length waitress would announce chunks, send the last of them, and close.
        """
        body = self.request.body
        if (body is not None and not body.finished) or self.channel.server.ending:
            self.set_close_on_finish()
        if self.request.command != "HEAD" or any(
            name.lower() == _LENGTH for name, _ in self.response_headers
        ):
            return super().build_response_header()
        self.response_headers.append((_LENGTH, "0"))
        return super().build_response_header().replace(b"\r\nContent-Length: 0\r\n", b"\r\n", 1)

    def service(self) -> None:
        """Run the application and send its answer; one that nobody waits for any more is no news to it."""
        try:
            super().service()
        except ClientDisconnected:
            body = self.request.body
            if body is None or not body.broken or self.request.error is not None:
                raise  # waitress logs it
            self.close_on_finish = True

    def execute(self) -> None:
        """Run the application; answer for it when it lets a broken body through."""
        try:
            super().execute()
        except BodyError as error:
            if self.wrote_header:
                raise
            self.request.error, self.response_headers, self.complete = error.answer, [], True
            ErrorTask.execute(self)


class Channel(HTTPChannel):
    """A connection. While a request runs, only its worker reads the socket."""

    parser_class = RequestParser
    task_class = Task

    #: Whether a close must leave the client time to read the answer, for it may still be sending.
    _lingers = False
    #: Until when it gets that time, once all is sent; None before.
    _linger_until: float | None = None
    _linger_bytes = LINGER_BYTES
    #: Bytes of files that this flush may still send.
    _turn = 0
    #: Bytes given to the kernel, how many of them its peer had at the last look, and since when no more,
    #: though some wait.
    _sent = 0
    _taken = -1
    _taken_since = 0.0

    @cached_property
    def counts_as(self) -> str:
        """What its address counts as, where connections are counted."""
        return counted_as(self.addr[0])

    # -- reading

    def handle_read(self) -> None:
        """Bytes have come: a request's, or those of a sender that was refused."""
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
        """Who sends the first request; the same for as long as that is dealt with."""
        request = self.requests[0]
        if request.caller is None:
            request.caller = self.server.task_dispatcher.callers.of(request.token, self.counts_as)
        return request.caller

    def learn_caller(self, name: str) -> None:
        """Count requests with the token of this one as that caller's from now on."""
        self.server.task_dispatcher.callers.learn(self.requests[0].token, name)

    def service(self) -> None:
        """Run the first request; called by a worker."""
        with self.server.task_dispatcher.turn():
            request = self.requests[0]
            self._lingers = request.streamed or request.error is not None
            if request.reads_body:
                self._serve_with_body(request)
            else:
                super().service()

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
    def stood_in(self) -> Iterator[None]:
        """Within, the request that runs waits for others, and keeps no worker and no slot from anybody."""
        slot = self.requests[0].slot if self.requests else None
        with self.server.task_dispatcher.stood_in(), slot.lent() if slot is not None else nullcontext():
            yield

    def expect_document(self) -> None:
        """Treat the body of the request that runs as a document, because the application says it is one."""
        request = self.requests[0]
        if request.body is not None and not request.is_document:
            request.is_document = True
            request.slot.become_document()
            request.body.limit(self.adj.document_timeout)

    def _open_body(self, request: RequestParser) -> socket.socket | None:
        """Give the request its body, and return the socket it is read from, the worker's own.

        The loop may close the channel's socket at any time, and its number come to be another
        connection's; the worker's stays what it is.
        """
        with self.outbuf_lock:
            if not self.connected:
                return None
            try:
                connection = self.socket.dup()
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
        """Read on, as the loop would, with what came behind a streamed body."""
        if rest and not self.close_when_flushed:
            self.received(rest)

    # -- writing

    def handle_write(self) -> None:
        """Flush, and close when told to: lingering, if the client may be sending."""
        if self._lingers and self.close_when_flushed and not self.will_close:
            self._flush_exception(self._flush_some)
            if not self.connected:  # it was noticed just now, and everything is closed
                return
            if not self.total_outbufs_len and not self.will_close:
                self._linger()
                return
        super().handle_write()

    def _linger(self) -> None:
        self.close_when_flushed = False
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            self.handle_close()
        else:
            self._linger_until = time.time() + self.adj.linger_timeout

    def handle_close(self) -> None:
        """Close the connection; a worker that reads its body notices at once."""
        with self.outbuf_lock:
            if self.socket is not None and self.requests:
                self.cut()
            super().handle_close()

    def _flush_some(self, do_close: bool = True) -> bool:
        self._turn = TURN
        return super()._flush_some(do_close)

    def send(self, data: Any, do_close: bool = True) -> int:
        """Send bytes, or a part of a file, and return how many went."""
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
            with self.server.task_dispatcher.stood_in():
                super()._flush_outbufs_below_high_watermark()

    # -- deadlines

    @property
    def busy(self) -> bool:
        """Whether a request is under way, or its answer."""
        return bool(
            self.requests or self.request is not None or self.total_outbufs_len or self.close_when_flushed
        )

    def enforce_deadlines(self, now: float) -> None:
        """Cut the connection if its client is late; `now` as time.time says."""
        if not self.total_outbufs_len:
            self._taken_since = now  # there is nothing to take
        if self._linger_until is not None:
            late = now >= self._linger_until
        elif self.total_outbufs_len:
            late = self._is_stalled(now)
        elif self.requests:
            late = False
            if self.request is not None:
                self.request.started = now  # it is not read while another one runs
        elif self.request is not None:
            late = now >= self.request.deadline
        else:
            late = now >= self.last_activity + self.adj.channel_timeout
        if late:
            self.cut()

    def _is_stalled(self, now: float) -> bool:
        """Whether the reader has taken nothing for too long; our own sends say little of it."""
        taken = self._sent - _unacknowledged(self.socket)
        if taken != self._taken:
            self._taken, self._taken_since = taken, now
        return now >= self._taken_since + self.adj.send_timeout

    def cut(self) -> None:
        """End the connection and leave its close to the loop, which would poll a closed socket otherwise."""
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            self.will_close = True


def _unacknowledged(connection: socket.socket) -> int:
    """Bytes in the kernel's send queue, as far as it tells."""
    try:
        return struct.unpack("i", fcntl.ioctl(connection, termios.TIOCOUTQ, bytes(4)))[0]
    except OSError:
        return 0


def counted_as(address: str) -> str:
    """What an address counts as: itself, or in IPv6 its network of 64 bits, which is what one host has."""
    if ":" not in address:
        return address
    number = ipaddress.IPv6Address(address.partition("%")[0])
    if number.ipv4_mapped:
        return str(number.ipv4_mapped)
    return str(ipaddress.IPv6Network((number, 64), strict=False))
