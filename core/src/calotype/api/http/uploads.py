"""The headers of an upload, read in one place for all dialects.

An image is stored whole and exactly as it comes. A header that says that the body is
something else - a part, or a coded form of the image - is refused before a byte of it is read.
"""

from __future__ import annotations

from pyramid.httpexceptions import HTTPUnsupportedMediaType

from calotype.api.http.body import RequestBody
from calotype.api.http.request import Request
from calotype.config.messages import quoted
from calotype.model.changes import InvalidRequest

OCTETS = "application/octet-stream"


class NotOctets(InvalidRequest):
    """The body is not declared as an image's bytes."""

    def __init__(self, given: str) -> None:
        found = f"it is {quoted(given)}" if given else "it is missing"
        super().__init__(
            f"Content-Type must be {OCTETS}, because the body of this request is an image's bytes; {found}."
        )


def upload_body(request: Request, *, needs_type: bool = True) -> RequestBody:
    """Return the body of an upload whose headers describe a whole image.

    Without `needs_type` the Content-Type may be missing.

    Raises:
        NotOctets: the Content-Type is another one.
        InvalidRequest: the body is only a part of the image (RFC 9110 14.5).
        HTTPUnsupportedMediaType: the body is compressed, or coded in another way.
    """
    if (given := request.media_type) != OCTETS and (needs_type or given):
        raise NotOctets(given)
    if "Content-Range" in request.headers:
        raise InvalidRequest(
            "Content-Range is not supported in an upload, because an image is stored whole: "
            "send all of its bytes, without that header."
        )
    if not _is_plain(request.headers.get("Content-Encoding", "")):
        raise HTTPUnsupportedMediaType(
            "Content-Encoding is not supported in an upload, because an image is stored as it is: "
            "send its bytes without that encoding."
        )
    return RequestBody(request)


def _is_plain(encodings: str) -> bool:
    """Return whether a Content-Encoding leaves the bytes as they are; an empty one counts as absent."""
    return all(one.strip().lower() in ("", "identity") for one in encodings.split(","))
