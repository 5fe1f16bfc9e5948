"""A request parser that refuses ambiguous requests, and leaves bodies that should stream to the worker.

waitress's parser is lenient where two programs may read one request differently: it joins headers that may
occur only once, serves HTTP/0.9, and unfolds lines. Here each such request gets 400, and the connection ends.

waitress drops every header with `_` in its name, because it could pass for another header. Here `_` counts as
`-` in names with one of the prefixes that the setting `underscore_headers` lists.

If a body is chunked or long, or if the client waits for `100 Continue`, the request counts as complete after
its head. A worker then reads the body.
"""

from __future__ import annotations

import io
import re
import time
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from waitress.parser import HTTPRequestParser, ParsingError
from waitress.utilities import BadRequest, Error, RequestHeaderFieldsTooLarge

from calotype_server.body import HEADER_LINE, READ_AHEAD, RequestBody
from calotype_server.settings import ServerSettings

if TYPE_CHECKING:
    from calotype_server.callers import Caller
    from calotype_server.task import Task
    from calotype_server.workers import Slot

#: Headers that may occur only once.
_SINGLE = frozenset(
    {b"host", b"content-length", b"content-type", b"transfer-encoding", b"x-auth-token", b"expect"}
)
#: The media types of bodies that are not documents. The last two are those of resumable uploads. A body
#: without a Content-Type counts as bytes, too.
_BYTES = frozenset(
    {
        "",
        "application/octet-stream",
        "application/offset+octet-stream",  # tus 1.0
        "application/partial-upload",  # Resumable Uploads for HTTP, a draft of the IETF
    }
)
#: Maximum number of CR and LF before a request. Some are allowed, because old clients send them after a body.
_BLANK = 8

_FIRST_LINE = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Z]+ [\x21-\x7e\x80-\xff]+ HTTP/1\.[01]")
_HOST = re.compile(rb"[A-Za-z0-9._~%!$&'()*+;=:\[\]-]*")
_LENGTH = re.compile(rb"[0-9]{1,19}")


class ServiceUnavailable(Error):
    """The answer to a request for which no worker or no file descriptor is free."""

    code = 503
    reason = "Service Unavailable"

    def to_response(self, ident: str | None = None) -> tuple[str, list[tuple[str, str]], bytes]:
        """Return waitress's response, with Retry-After."""
        status, headers, body = super().to_response(ident)
        return status, [*headers, ("Retry-After", "30")], body


class RequestParser(HTTPRequestParser):
    """A parser of one request. It checks each line of the head before waitress parses it."""

    adj: ServerSettings
    body_rcv: Any
    completed: bool
    expect_continue: bool
    #: The body, if a worker reads it from the connection.
    body: RequestBody | None = None
    #: True if a worker must read the body from the connection.
    streamed = False
    #: The slot that the worker holds while it reads the body.
    slot: Slot | None = None
    #: True if the client waits for `100 Continue` before it sends the body.
    wants_continue = False
    #: True if the body is a document, such as JSON. Documents are small, so they have a timeout of their own.
    is_document = False
    #: The task that runs the request, or that has paused.
    task: Task | None = None
    #: The sender; None until `Channel.caller` is first read.
    caller: Caller | None = None
    #: The bytes of a streamed body that arrived with the head.
    surplus = b""
    #: A function that is called with the bytes that arrived after a streamed body.
    behind: Callable[[bytes], None] | None = None

    def __init__(self, adj: ServerSettings):
        super().__init__(adj)
        #: The time.time() at which the request's first byte arrived.
        self.started = time.time()
        self._blank = 0

    def received(self, data: bytes) -> int:
        """Parse the next bytes, and return how many of them are consumed."""
        if self.body_rcv is None and not self.header_plus and not self.completed:
            head = data.lstrip(b"\r\n")
            self._blank += len(data) - len(head)
            if self._blank > _BLANK or head[:1].isspace():
                self.error, self.completed = BadRequest("The request begins with white space"), True
            elif head:
                consumed = len(data) - len(head) + super().received(head)
                return self._claim(data, consumed)
            return len(data)
        return self._claim(data, super().received(data))

    def _claim(self, data: bytes, consumed: int) -> int:
        """Return how many bytes are consumed. All are, if the rest must not be parsed as another request."""
        if self.completed and (self.streamed or self.error is not None):
            self.surplus = data[consumed:] if self.error is None else b""
            return len(data)
        return consumed

    @property
    def reads_body(self) -> bool:
        """True if a worker must read the body from the connection."""
        return self.streamed and self.error is None

    @property
    def is_upload(self) -> bool:
        """True if a worker must read a body that is not a document."""
        return self.reads_body and not self.is_document

    @property
    def token(self) -> Hashable | None:
        """A hash that identifies the credentials without revealing them; None without credentials."""
        token = self.headers.get("X_AUTH_TOKEN") or self.headers.get("AUTHORIZATION")
        return None if token is None else hash(token)

    @property
    def deadline(self) -> float:
        """The time.time() by which the request must be complete."""
        settings = self.adj
        end: float = self.started + settings.header_timeout
        if self.is_document:
            end += settings.document_timeout
        elif self.body_rcv is not None:
            end += settings.body_timeout + self.content_length / (settings.min_rate or 1024)
        return end

    def parse_header(self, header_plus: bytes) -> None:
        """Check the head, replace `_` in names where that is allowed, parse, and decide who reads the body.

        Raises:
            ParsingError: the head is ambiguous or malformed; waitress answers 400.
        """
        first_line, *lines = header_plus.split(b"\r\n")
        if not _FIRST_LINE.fullmatch(first_line):
            raise ParsingError("The request line is malformed")
        fields = [line for line in lines if line]
        if len(fields) > self.adj.max_request_headers:
            self.error = RequestHeaderFieldsTooLarge("too many headers")
            return
        seen: dict[bytes, bytes] = {}
        checked = [_check_line(line, self.adj.underscore_prefixes, seen) for line in fields]
        _check_framing(first_line.endswith(b"1.1"), seen)
        try:
            super().parse_header(b"\r\n".join([first_line, *checked, b""]))
        except ValueError as error:  # from urllib, for example for an IPv6 address without "]"
            raise ParsingError("The request's target is malformed") from error
        if self.proxy_netloc:  # the host of a target that is a URL replaces the Host header (RFC 9112 3.2.2)
            if not _HOST.fullmatch(self.proxy_netloc.encode("latin-1")):
                raise ParsingError("The target's host is invalid")
            self.headers["HOST"] = self.proxy_netloc
        if "close" in self.headers.get("CONNECTION", "").lower().replace(" ", "").split(","):
            self.headers["CONNECTION"] = "close"
        self._decide_on_body()

    def _decide_on_body(self) -> None:
        has_body = self.body_rcv is not None
        self.is_document = has_body and not _is_bytes(self.headers.get("CONTENT_TYPE", ""))
        if has_body and (self.chunked or self.expect_continue or self.content_length > self.adj.stream_over):
            self.body_rcv.getbuf().close()
            self.body_rcv = None
            self.streamed, self.wants_continue = True, self.expect_continue
            if self.chunked:
                self.headers["TRANSFER_ENCODING"] = "chunked"  # tells the application that a body follows
        self.expect_continue = False  # otherwise waitress would send 100 Continue at once

    def get_body_stream(self) -> BinaryIO:
        """Return the stream from which the application reads the body."""
        if self.body is None:
            return cast(BinaryIO, super().get_body_stream())
        return io.BufferedReader(self.body, READ_AHEAD)

    def close(self) -> None:
        """End the request, and pass the bytes that arrived after its body to `behind`."""
        super().close()
        if self.body is not None and self.behind is not None:
            self.behind(self.body.rest)


def _is_bytes(media_type: str) -> bool:
    """Return whether a Content-Type is one of `_BYTES`."""
    return media_type.partition(";")[0].strip().lower() in _BYTES


def _check_line(line: bytes, prefixes: tuple[bytes, ...], seen: dict[bytes, bytes]) -> bytes:
    """Return a header line as waitress should see it; `seen` collects headers that may occur only once."""
    match = HEADER_LINE.fullmatch(line)
    if match is None:
        raise ParsingError("A header line is malformed")
    name, value = match[1], match[2].strip(b" \t")
    lowered = name.lower().replace(b"_", b"-")
    is_prefixed = name.lower().startswith(prefixes)  # `_` is accepted only after the prefix
    if is_prefixed or (lowered in _SINGLE and b"_" not in name):
        if lowered in seen:
            raise ParsingError(f"Header {lowered[:80].decode('latin-1')} occurs twice")
        seen[lowered] = value
    return (lowered if is_prefixed else name) + b": " + value


def _check_framing(is_1_1: bool, headers: dict[bytes, bytes]) -> None:
    """Refuse a head that is ambiguous about where the request ends or which host it is for."""
    length, encoding = headers.get(b"content-length"), headers.get(b"transfer-encoding")
    if encoding is not None and (length is not None or not is_1_1):
        raise ParsingError("Transfer-Encoding occurs with Content-Length, or in HTTP/1.0")
    codings = [] if encoding is None else [coding.strip(b" \t").lower() for coding in encoding.split(b",")]
    if b"" in codings or codings.count(b"chunked") > 1:
        raise ParsingError("Transfer-Encoding is invalid")
    if length is not None and not _LENGTH.fullmatch(length):
        raise ParsingError("Content-Length is invalid")
    if is_1_1 and b"host" not in headers:
        raise ParsingError("HTTP/1.1 needs a Host header")
    if not _HOST.fullmatch(headers.get(b"host", b"")):
        raise ParsingError("Host is invalid")
