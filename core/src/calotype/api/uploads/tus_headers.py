"""Read the headers of tus 1.0, and write those that describe a session. https://tus.io/protocols"""

from __future__ import annotations

import base64
import contextlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from wsgiref.handlers import format_date_time

from pyramid.httpexceptions import HTTPUnsupportedMediaType

from calotype.api.http.request import Request
from calotype.api.uploads.resources import TUS, TUS_BYTES
from calotype.config.messages import not_one_of, quoted
from calotype.model.fields import InvalidRequest, RequestTooLarge, canonical_id
from calotype.model.sessions import UploadSession

VERSION = "1.0.0"
EXTENSIONS = (
    *("creation", "creation-with-upload", "creation-defer-length", "expiration", "checksum", "termination"),
    "concatenation",
)
OFFSET, LENGTH, DEFER, METADATA, CONCAT, CHECKSUM = (
    *("Upload-Offset", "Upload-Length", "Upload-Defer-Length", "Upload-Metadata", "Upload-Concat"),
    "Upload-Checksum",
)
#: The algorithms of Upload-Checksum, with the lengths of their digests in bytes. tus requires sha1.
CHECKSUMS = {"sha256": 32, "sha1": 20, "md5": 16, "crc32": 4}
#: Maximum length of Upload-Metadata and of Upload-Concat in characters. Responses to HEAD repeat them.
TEXT_MAX = 30_000

_INTEGER = re.compile(r"[0-9]{1,18}", re.ASCII)
_UPLOAD = re.compile(r"(?:https?://[^/?#]+)?/(?:[^?#]*/)?uploads/([^/?#]+)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Note:
    """The headers of a creation that the responses to HEAD repeat. A session's note has them as JSON."""

    metadata: str = ""
    concat: str = ""

    @classmethod
    def of(cls, session: UploadSession) -> Note:
        """Return the note of a session. A session of another protocol has none of these headers."""
        found = json.loads(session.note or "{}")
        return cls(found.get("metadata", ""), found.get("concat", ""))

    def dump(self) -> str:
        """Return the note as the text that a session keeps."""
        return json.dumps({"metadata": self.metadata, "concat": self.concat})

    @property
    def is_final(self) -> bool:
        """True if the session was made by a concatenation."""
        return self.concat.startswith("final")


def read_number(request: Request, name: str) -> int | None:
    """Return a header's value, or None without the header; raises InvalidRequest for anything else."""
    text = request.headers.get(name)
    if text is not None and not _INTEGER.fullmatch(text):
        raise InvalidRequest(f"{name} must be a number of bytes in digits, not {quoted(text)}.")
    return None if text is None else int(text)


def read_length(request: Request) -> int | None:
    """Return the length of a new session, or None if the client defers it.

    Raises:
        InvalidRequest: the request has both headers, neither of them, or an invalid one.
    """
    length, deferred = read_number(request, LENGTH), request.headers.get(DEFER)
    if deferred not in (None, "1"):
        raise InvalidRequest(f"{DEFER} must be 1, not {quoted(deferred)}.")
    if (length is None) is (deferred is None):
        raise InvalidRequest(f"Send either {LENGTH}, or {DEFER}: 1 if the length is not known yet.")
    return length


def read_checksum(request: Request) -> Mapping[str, bytes]:
    """Return the digest that the bytes of this request must have, by its algorithm; empty if there is none.

    Raises:
        InvalidRequest: the header is malformed, or the algorithm is not supported.
    """
    text = request.headers.get(CHECKSUM)
    if text is None:
        return {}
    algorithm, _, encoded = text.partition(" ")
    if algorithm not in CHECKSUMS:
        raise InvalidRequest(not_one_of(f"{CHECKSUM} has an unknown algorithm", algorithm, list(CHECKSUMS)))
    digest = decode_base64(CHECKSUM, encoded)
    if len(digest) != CHECKSUMS[algorithm]:
        raise InvalidRequest(
            f"{CHECKSUM}: a digest of {algorithm} has {CHECKSUMS[algorithm]} bytes, not {len(digest)}."
        )
    return {algorithm: digest}


def read_concat(request: Request) -> list[str] | None:
    """Return the ids of the sessions to concatenate. Return an empty list for a new partial session.

    Return None without the header.

    Raises:
        InvalidRequest: the header is malformed.
        RequestTooLarge: the header is too long.
    """
    text = request.headers.get(CONCAT)
    if text is None or text == "partial":
        return None if text is None else []
    if len(text) > TEXT_MAX:
        raise RequestTooLarge(f"{CONCAT} is longer than {TEXT_MAX} characters.")
    kind, _, urls = text.partition(";")
    found = [_UPLOAD.fullmatch(url) for url in urls.split(" ")] if kind == "final" else []
    ids = [canonical_id(match[1]) if match else None for match in found]
    if not ids or None in ids:
        raise InvalidRequest(
            f"{CONCAT} must be 'partial', or 'final;' and the URLs of partial uploads, separated by a space."
        )
    return [one for one in ids if one is not None]


def require_bytes(request: Request) -> None:
    """Raise HTTPUnsupportedMediaType if the Content-Type is not that of tus."""
    if request.media_type != TUS_BYTES:
        given = f"it is {quoted(request.media_type)}" if request.media_type else "it is missing"
        raise HTTPUnsupportedMediaType(f"Content-Type must be {TUS_BYTES}; {given}.")


def decode_base64(name: str, text: str) -> bytes:
    """Return the bytes of a text in Base64 (RFC 4648 4, with padding); raises InvalidRequest otherwise."""
    with contextlib.suppress(ValueError):
        found = base64.b64decode(text, validate=True)
        if base64.b64encode(found).decode() == text:  # b64decode ignores surplus padding
            return found
    raise InvalidRequest(f"{name}: {quoted(text)} is not Base64.")


def session_headers(session: UploadSession) -> dict[str, str]:
    """Return the headers that every response about a session has."""
    return {
        TUS: VERSION,
        OFFSET: f"{session.offset}",
        "Upload-Expires": format_date_time(session.expires.timestamp()),
    }


def head_headers(session: UploadSession) -> dict[str, str]:
    """Return the headers of the response to HEAD."""
    note = Note.of(session)
    length = {DEFER: "1"} if session.length is None else {LENGTH: f"{session.length}"}
    repeated = {METADATA: note.metadata, CONCAT: note.concat}
    return {
        **session_headers(session),
        **length,
        **{name: value for name, value in repeated.items() if value},
        "Cache-Control": "no-store",
    }
