"""A request parser that leaves nothing to be read in two ways, and keeps meta headers whose names have `_`.

waitress's parser is lenient where two readers of one request can come to differ: it
joins headers that must be alone, serves HTTP/0.9, unfolds lines. Here all of that is
400 and the end of the connection. And it drops every header with `_` in its name, with
it most of what image clients send; here `_` is taken for `-` in names that begin
`x-image-meta-` or `x-glance-`. All other names with `_` are still dropped, for they
could pass for another header.

A body that is chunked, long, or waits for `100 Continue` is not read here: the request
is complete with its head, and the worker reads the rest.
"""

from __future__ import annotations

import io
import re
import time
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, BinaryIO

from waitress.parser import HTTPRequestParser, ParsingError
from waitress.utilities import BadRequest, Error, RequestHeaderFieldsTooLarge

from calotype_server.body import HEADER_LINE, READ_AHEAD, RequestBody
from calotype_server.settings import ServerSettings

if TYPE_CHECKING:
    from calotype_server.callers import Caller
    from calotype_server.workers import Slot

_META = (b"x-image-meta-", b"x-glance-")
_SINGLE = frozenset(
    {b"host", b"content-length", b"content-type", b"transfer-encoding", b"x-auth-token", b"expect"}
)
#: Line ends that may stand before a request: clients of old send one behind a body.
_BLANK = 8

_FIRST_LINE = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Z]+ [\x21-\x7e\x80-\xff]+ HTTP/1\.[01]")
_HOST = re.compile(rb"[A-Za-z0-9._~%!$&'()*+;=:\[\]-]*")
_LENGTH = re.compile(rb"[0-9]{1,19}")


class ServiceUnavailable(Error):
    """The answer to a request that came when there was no worker, or no file descriptor, for it."""

    code = 503
    reason = "Service Unavailable"

    def to_response(self, ident: str | None = None) -> tuple[str, list[tuple[str, str]], bytes]:
        """waitress's, and when to come again."""
        status, headers, body = super().to_response(ident)
        return status, [*headers, ("Retry-After", "30")], body


class RequestParser(HTTPRequestParser):
    """waitress's parser behind a look at each line of the head."""

    #: The body, when the worker is to read it from the connection.
    body: RequestBody | None = None
    #: Whether it is to.
    streamed = False
    #: The slot that allows it to, while it runs.
    slot: Slot | None = None
    #: Whether the client waits for `100 Continue` before it sends that body.
    wants_continue = False
    #: Whether the body is a document, such as JSON, and not bytes to be kept: it is small, so it comes soon.
    is_document = False
    #: Who sends it, once it is complete.
    caller: Caller | None = None
    #: What came behind the head of a streamed request: its body, or the first part of it.
    surplus = b""
    #: Takes what of the connection was read and is not the body's.
    behind: Callable[[bytes], None] | None = None

    def __init__(self, adj: ServerSettings):
        super().__init__(adj)
        #: When its first byte came (what time.time says).
        self.started = time.time()
        self._blank = 0

    def received(self, data: bytes) -> int:
        """Take the next bytes and return how many of them are dealt with."""
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
        """Keep the connection's next bytes from being read as a request when they are none."""
        if self.completed and (self.streamed or self.error is not None):
            self.surplus = data[consumed:] if self.error is None else b""
            return len(data)
        return consumed

    @property
    def reads_body(self) -> bool:
        """Whether a worker has to read its body from the connection."""
        return self.streamed and self.error is None

    @property
    def is_upload(self) -> bool:
        """Whether a worker has to read bytes from the connection that are no document."""
        return self.reads_body and not self.is_document

    @property
    def token(self) -> Hashable | None:
        """What tells callers apart, None without one. Nobody can turn it back into what was sent."""
        token = self.headers.get("X_AUTH_TOKEN") or self.headers.get("AUTHORIZATION")
        return None if token is None else hash(token)

    @property
    def deadline(self) -> float:
        """When it must be complete (as time.time says)."""
        settings = self.adj
        end = self.started + settings.header_timeout
        if self.is_document:
            end += settings.document_timeout
        elif self.body_rcv is not None:
            end += settings.body_timeout + self.content_length / (settings.min_rate or 1024)
        return end

    def parse_header(self, header_plus: bytes) -> None:
        """Check the head, fold meta headers' names, parse, and decide who reads the body.

        Raises:
            ParsingError: it can be read in two ways; becomes a 400.
        """
        first_line, *lines = header_plus.split(b"\r\n")
        if not _FIRST_LINE.fullmatch(first_line):
            raise ParsingError("The request line is malformed")
        fields = [line for line in lines if line]
        if len(fields) > self.adj.max_request_headers:
            self.error = RequestHeaderFieldsTooLarge("too many headers")
            return
        seen: dict[bytes, bytes] = {}
        folded = [_fold(line, seen) for line in fields]
        _check_framing(first_line.endswith(b"1.1"), seen)
        try:
            super().parse_header(b"\r\n".join([first_line, *folded, b""]))
        except ValueError as error:  # from urllib, as of an IPv6 address without its end
            raise ParsingError("The request's target is malformed") from error
        if self.proxy_netloc:  # the target is a whole URL, whose host counts, and not Host's (RFC 9112 3.2.2)
            if not _HOST.fullmatch(self.proxy_netloc.encode("latin-1")):
                raise ParsingError("The target's host is invalid")
            self.headers["HOST"] = self.proxy_netloc
        if "close" in self.headers.get("CONNECTION", "").lower().replace(" ", "").split(","):
            self.headers["CONNECTION"] = "close"
        self._decide_on_body()

    def _decide_on_body(self) -> None:
        has_body = self.body_rcv is not None
        self.is_document = has_body and not _is_octets(self.headers.get("CONTENT_TYPE", ""))
        if has_body and (self.chunked or self.expect_continue or self.content_length > self.adj.stream_over):
            self.body_rcv.getbuf().close()
            self.body_rcv = None
            self.streamed, self.wants_continue = True, self.expect_continue
            if self.chunked:
                self.headers["TRANSFER_ENCODING"] = "chunked"  # the application's sign that bytes follow
        self.expect_continue = False  # waitress would answer it at once

    def get_body_stream(self) -> BinaryIO:
        """What the application reads the body from."""
        if self.body is None:
            return super().get_body_stream()
        return io.BufferedReader(self.body, READ_AHEAD)

    def close(self) -> None:
        """The request has been answered; what came behind its body goes to `behind`."""
        super().close()
        if self.body is not None and self.behind is not None:
            self.behind(self.body.rest)


def _is_octets(media_type: str) -> bool:
    """Return whether a Content-Type announces bytes to be kept as they are; a missing one does."""
    return media_type.partition(";")[0].strip().lower() in ("", "application/octet-stream")


def _fold(line: bytes, seen: dict[bytes, bytes]) -> bytes:
    """The header line as waitress is to see it; `seen` gathers the headers that must be alone."""
    match = HEADER_LINE.fullmatch(line)
    if match is None:
        raise ParsingError("A header line is malformed")
    name, value = match[1], match[2].strip(b" \t")
    lowered = name.lower().replace(b"_", b"-")
    is_meta = name.lower().startswith(_META)  # the prefix itself has no `_`
    if is_meta or (lowered in _SINGLE and b"_" not in name):
        if lowered in seen:
            raise ParsingError(f"Header {lowered[:80].decode('latin-1')} came twice")
        seen[lowered] = value
    return (lowered if is_meta else name) + b": " + value


def _check_framing(is_1_1: bool, headers: dict[bytes, bytes]) -> None:
    """Refuse what leaves in doubt where the request ends or whom it is for."""
    length, encoding = headers.get(b"content-length"), headers.get(b"transfer-encoding")
    if encoding is not None and (length is not None or not is_1_1):
        raise ParsingError("Transfer-Encoding stands beside Content-Length, or in HTTP/1.0")
    codings = [] if encoding is None else [coding.strip(b" \t").lower() for coding in encoding.split(b",")]
    if b"" in codings or codings.count(b"chunked") > 1:
        raise ParsingError("Transfer-Encoding is invalid")
    if length is not None and not _LENGTH.fullmatch(length):
        raise ParsingError("Content-Length is invalid")
    if is_1_1 and b"host" not in headers:
        raise ParsingError("HTTP/1.1 needs a Host header")
    if not _HOST.fullmatch(headers.get(b"host", b"")):
        raise ParsingError("Host is invalid")
