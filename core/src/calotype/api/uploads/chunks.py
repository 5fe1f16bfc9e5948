"""The bytes that one request adds to an upload session, in both protocols: its body, or zeros."""

from __future__ import annotations

import io
from collections.abc import Mapping

from calotype.api.http.digests import content_digests
from calotype.api.http.request import Request
from calotype.api.http.uploads import UploadBody, require_plain
from calotype.config.messages import quoted
from calotype.model.errors import WrongOffset
from calotype.model.fields import InvalidRequest, RequestTooLarge
from calotype.model.sessions import SessionStatus, UploadSession
from calotype.stores.measured import BLOCK
from calotype.transfers.readers import Announced, Source
from calotype.transfers.sessions.chunks import Chunk

#: The header of Calotype with which a PATCH adds zeros without sending them.
ZEROS = "Upload-Zeros"
#: Maximum number of zeros that one request adds. Writing them takes a worker about a second.
ZEROS_MAX = 1 << 30

_ZERO_BLOCK = bytes(BLOCK)


class Zeros:
    """A source of `length` zeros."""

    def __init__(self, length: int):
        self.length: int | None = length
        self.digests: Mapping[str, str] = {}
        self._left = length

    def read(self, size: int = -1, /) -> bytes:
        """Return the next zeros."""
        count = min(self._left, BLOCK if size is None or size < 0 else min(size, BLOCK))
        self._left -= count
        return _ZERO_BLOCK if count == BLOCK else bytes(count)

    def close(self) -> None:
        """Do nothing."""


def read_content(request: Request) -> Source:
    """Return the bytes that the request adds.

    Raises:
        InvalidRequest: Upload-Zeros is invalid, or the request has a body, too.
        RequestTooLarge: Upload-Zeros is more than `ZEROS_MAX`.
        HTTPUnsupportedMediaType: the body has a Content-Encoding.
    """
    text = request.headers.get(ZEROS)
    if text is None:
        require_plain(request)
        return UploadBody(request) if request.announces_body else Announced(io.BytesIO(), 0)
    if not (text.isascii() and text.isdecimal() and len(text) < 20):
        raise InvalidRequest(f"{ZEROS} must be a number of bytes in digits, not {quoted(text)}.")
    if request.announces_body:
        raise InvalidRequest(f"Send either a body or {ZEROS}, which stands for a body of zeros.")
    if int(text) > ZEROS_MAX:
        raise RequestTooLarge(f"{ZEROS} can add at most {ZEROS_MAX} bytes; send several requests.")
    return Zeros(int(text))


def require_offset(session: UploadSession, offset: int) -> None:
    """Raise WrongOffset unless the session continues at this offset, before any byte is read."""
    if offset != session.offset:
        raise WrongOffset(session.offset, offset)


def append(
    request: Request, session: UploadSession, source: Source, digests: Mapping[str, bytes] | None = None
) -> UploadSession:
    """Add bytes at the session's offset, and return the session as it is then.

    To add nothing to a finished session is no error, because a client repeats a request whose response it has
    not received.

    Raises:
        InvalidRequest: Content-Digest is malformed, or contradicts `digests`, those of another header.
        Exception: the errors of `Sessions.write`.
    """
    if session.status is SessionStatus.FINISHED and source.length == 0:
        return session
    declared = content_digests(request)
    for algorithm, digest in (digests or {}).items():
        if declared.setdefault(algorithm, digest) != digest:
            raise InvalidRequest(f"Content-Digest has another {algorithm} digest than Upload-Checksum.")
    chunk = Chunk(session.offset, source, declared)
    return request.lifecycle.sessions.write(session.id, request.caller, chunk)
