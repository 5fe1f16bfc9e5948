"""A request's body, which the worker that runs the application reads from the connection.

The kernel's buffers give back-pressure: bytes that the application does not read stay with the client. Bytes
after the body belong to the connection's next request.
"""

from __future__ import annotations

import io
import math
import re
import select
import socket
import time
from collections.abc import Callable
from typing import Any

from waitress.channel import ClientDisconnected
from waitress.utilities import BadRequest, Error, RequestEntityTooLarge

from calotype_server.settings import ServerSettings

#: Maximum bytes of the first line of a chunk, with its extension. No known client uses extensions.
CHUNK_LINE = 256
#: Maximum bytes of all trailers, which are checked and dropped.
TRAILERS = 4096
#: Bytes to request from the socket at once, even if the application asks for fewer, or a line is read.
READ_AHEAD = 65536

#: The quantifiers are possessive, so that a match never backtracks.
HEADER_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]++):([\t\x20-\x7e\x80-\xff]*+)")
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:;[\t\x20-\x7e\x80-\xff]*+)?")


class RequestTimeout(Error):
    """The response to a client that is too slow."""

    code = 408
    reason = "Request Timeout"


class BodyError(ClientDisconnected, OSError):
    """The rest of the body will not arrive. `answer` is sent if the application does not handle the error."""

    answer: Error = BadRequest("The body is incomplete")


class ClientGone(BodyError, ConnectionError):
    """The client closed or reset the connection before the end of its body."""


class ClientTooSlow(BodyError, TimeoutError):
    """The client sends nothing, or too few bytes per second."""

    answer = RequestTimeout("The body arrived too slowly")


class MalformedBody(BodyError):
    """The framing of the chunks violates RFC 9112."""

    answer = BadRequest("The body's chunks are malformed")


class BodyTooLong(BodyError):
    """The chunks add up to more than `max_request_body_size`."""

    answer = RequestEntityTooLarge("The body is too long")


class SocketReader:
    """A reader of a connection. It returns the bytes that arrived with the head, then reads the socket."""

    def __init__(
        self,
        connection: socket.socket,
        came: bytes,
        settings: ServerSettings,
        invite: Callable[[], None] | None = None,
    ):
        """Read from a non-blocking connection. If `came` is empty, call `invite` before the first read."""
        self._socket = connection
        self._held = came
        self._at = 0
        self._settings = settings
        self._invite = None if came else invite
        self._poll = select.poll()
        self._poll.register(connection, select.POLLIN)
        self._waited = 0.0
        self._got = 0
        #: How many more seconds the reader may wait for the client, in all.
        self._left = math.inf

    @property
    def rest(self) -> bytes:
        """The bytes that were received but not yet read."""
        return self._held[self._at :]

    def readinto(self, buffer: memoryview) -> int:
        """Read the next bytes into a buffer that is not empty, and return their number, at least one."""
        if self._at == len(self._held):
            return self._receive(buffer)
        piece = memoryview(self._held)[self._at : self._at + len(buffer)]
        buffer[: len(piece)] = piece
        self._at += len(piece)
        if self._at == len(self._held):
            self._held, self._at = b"", 0
        return len(piece)

    def readline(self, limit: int) -> bytes:
        """Return the next line, without its CRLF.

        Raises:
            MalformedBody: the line has more than `limit` bytes.
        """
        while (end := self._held.find(b"\r\n", self._at, self._at + limit + 2)) < 0:
            if len(self._held) - self._at >= limit + 2:
                raise MalformedBody("a line is too long")
            ahead = memoryview(bytearray(READ_AHEAD))
            count = self._receive(ahead)
            self._held, self._at = self.rest + ahead[:count], 0
        line, self._at = self._held[self._at : end], end + 2
        return line

    def _receive(self, buffer: memoryview) -> int:
        """Receive bytes into a buffer, because a block that is received as an object is copied once more."""
        if self._invite is not None:
            invite, self._invite = self._invite, None
            try:
                invite()
            except ClientDisconnected as error:
                raise ClientGone("the client has gone") from error
        while True:
            try:
                count = self._socket.recv_into(buffer)
            except BlockingIOError:
                self._wait()
                continue
            except OSError as error:
                raise ClientGone("the client has gone") from error
            if not count:
                raise ClientGone("the client has gone")
            self._got += count
            return count

    def limit(self, seconds: float) -> None:
        """Wait for the client at most `seconds` more in total."""
        self._left = seconds

    def _wait(self) -> None:
        """Wait for bytes. Only the time spent in this method counts against the client."""
        window = self._settings.body_timeout
        began = time.monotonic()
        came = self._poll.poll(min(window, self._left) * 1000)
        spent = time.monotonic() - began
        self._left -= spent
        if self._left <= 0:
            raise ClientTooSlow("the body did not arrive in time")
        if not came:
            raise ClientTooSlow("no bytes arrived")
        self._waited += spent
        if self._waited >= window:
            if self._got < self._settings.min_rate * self._waited:
                raise ClientTooSlow("too few bytes arrived")
            self._waited, self._got = 0.0, 0


class RequestBody(io.RawIOBase):
    """The body of one request, of a known length or in chunks. Reads raise BodyError if it is incomplete."""

    def __init__(self, wire: SocketReader, length: int | None, longest: int):
        """Read `length` bytes from `wire`; if it is None, read chunks of at most `longest` bytes in all."""
        #: True once the whole body and its trailers have been read.
        self.finished = length == 0
        self._wire = wire
        self._chunked = length is None
        self._left = length or 0
        self._behind_chunk = False
        self._allowed = longest
        self._failure: BodyError | None = None

    @property
    def rest(self) -> bytes:
        """The bytes that were received after the body: the beginning of the next request."""
        return self._wire.rest if self.finished else b""

    @property
    def broken(self) -> bool:
        """True if a read has raised BodyError."""
        return self._failure is not None

    def limit(self, seconds: float) -> None:
        """Raise ClientTooSlow once further waits for the client have taken `seconds` in all."""
        self._wire.limit(seconds)

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read the next bytes into a buffer, and return their number: at least one, or 0 at the end.

        Raises:
            BodyError: no more bytes will arrive. Every later call raises it again.
        """
        if self._failure is not None:
            raise self._failure
        try:
            return self._readinto(memoryview(buffer))
        except BodyError as error:
            self._failure = error
            raise

    def _readinto(self, buffer: memoryview) -> int:
        if self._chunked and not self._left and not self.finished:
            self._next_chunk()
        if self.finished or not buffer:
            return 0
        count = self._wire.readinto(buffer[: self._left])
        self._left -= count
        self._allowed -= count
        if self._allowed < 0:
            raise BodyTooLong("the body is too long")
        self.finished = not (self._chunked or self._left)
        return count

    def _next_chunk(self) -> None:
        if self._behind_chunk and self._wire.readline(0):
            raise MalformedBody("a chunk does not end at its announced size")
        line = _CHUNK_LINE.fullmatch(self._wire.readline(CHUNK_LINE))
        if line is None:
            raise MalformedBody("a chunk's size is malformed")
        self._left, self._behind_chunk = int(line[1], 16), True
        if not self._left:
            self._skip_trailers()
            self.finished = True

    def _skip_trailers(self) -> None:
        allowed = TRAILERS
        while line := self._wire.readline(allowed):
            allowed -= len(line) + 2
            if allowed < 0 or not HEADER_LINE.fullmatch(line):
                raise MalformedBody("a trailer is malformed, or the trailers are too long")
