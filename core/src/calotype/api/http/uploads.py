"""The body of an upload, and the headers that describe it, for all dialects.

An image is stored exactly as it arrives. If the headers say that the body is encoded, or is only a part of
the image, the upload is refused before a byte is read.
"""

from __future__ import annotations

from collections.abc import Mapping

from pyramid.httpexceptions import HTTPUnsupportedMediaType

from calotype.api.http.digests import declared_digests
from calotype.api.http.request import Request
from calotype.config.messages import quoted
from calotype.model.fields import InvalidRequest
from calotype.stores.errors import SourceBroken
from calotype.stores.measured import BLOCK

OCTETS = "application/octet-stream"
DISCONNECTED = "Client disconnected before sending all data to the server."


class NotOctets(InvalidRequest):
    """The Content-Type is not application/octet-stream."""

    def __init__(self, given: str) -> None:
        found = f"it is {quoted(given)}" if given else "it is missing"
        super().__init__(
            f"Content-Type must be {OCTETS}, because the body of this request is an image's bytes; {found}."
        )


class UploadBody:
    """The body as a Reader that ends at the request's Content-Length, with the digests in its headers."""

    def __init__(self, request: Request):
        self.length: int | None = request.content_length
        self._request = request
        self._input = request.environ["wsgi.input"]
        self._left = self.length

    @property
    def digests(self) -> Mapping[str, str]:
        """The digests of the image that the headers declare if the body is all of it.

        Raises:
            InvalidRequest: they are malformed.
        """
        return declared_digests(self._request)

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes of the body.

        Raises:
            SourceBroken: the client disconnected before the end of the body.
        """
        wanted = BLOCK if size is None or size < 0 else size
        if self._left is not None:
            wanted = min(wanted, self._left)
        if wanted == 0:
            return b""
        try:
            block = self._input.read(wanted)
        except OSError as error:
            raise SourceBroken(DISCONNECTED) from error
        if self._left is not None:
            if not block:
                raise SourceBroken(DISCONNECTED)
            self._left -= len(block)
        return block

    def close(self) -> None:
        """Do nothing, because the server closes its own input."""


def upload_body(request: Request, *, needs_type: bool = True) -> UploadBody:
    """Return the body of an upload.

    Args:
        needs_type: true if the request must have a Content-Type.

    Raises:
        NotOctets: the Content-Type is not application/octet-stream, or is missing where it is required.
        InvalidRequest: the body is only a part of the image (RFC 9110 14.5), or a digest is malformed.
        HTTPUnsupportedMediaType: the body has a Content-Encoding.
    """
    if (given := request.media_type) != OCTETS and (needs_type or given):
        raise NotOctets(given)
    if "Content-Range" in request.headers:
        raise InvalidRequest(
            "Content-Range is not supported in an upload, because an image is stored whole: "
            "send all bytes, without that header."
        )
    require_plain(request)
    body = UploadBody(request)
    _ = body.digests  # a malformed digest is refused before anything is recorded
    return body


def require_plain(request: Request) -> None:
    """Raise HTTPUnsupportedMediaType if the body has a Content-Encoding."""
    given = request.headers.get("Content-Encoding", "")
    codings = given.split(",")
    if any(one.strip().lower() not in ("", "identity") for one in codings):
        raise HTTPUnsupportedMediaType(
            f"Content-Encoding is not supported, and it is {quoted(given)}: send the body uncompressed, "
            "without that header. A charset belongs in Content-Type."
        )
