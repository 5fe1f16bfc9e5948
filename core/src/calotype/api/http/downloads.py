"""Responses with the bytes of an image.

At most one block is in memory. A file is passed to the server through `wsgi.file_wrapper`. The server sends
the file, or the requested part, and needs no worker for that.
"""

from __future__ import annotations

import email.utils
import re
from collections.abc import Iterator
from functools import partial

from pyramid.response import Response
from webob.byterange import ContentRange

from calotype.api.http.conditions import Validators
from calotype.api.http.digests import wanted_digests
from calotype.api.http.request import Request
from calotype.images.downloads import DirectAccess
from calotype.model.images import Image
from calotype.model.states import Status
from calotype.stores.blob_readers import LimitedReader
from calotype.stores.bulkhead import STAND_IN, StandIn
from calotype.stores.measured import BLOCK
from calotype.stores.values import Reader

#: A range of the last 0 bytes. It cannot be satisfied, but WebOb parses it as the whole image.
_LAST_NONE = re.compile(r"bytes *= *- *0+\b", re.IGNORECASE | re.ASCII)
#: A range that begins with the first byte.
_FROM_START = re.compile(r"bytes *= *0+ *-", re.IGNORECASE | re.ASCII)
#: Maximum length of a Range header, in characters. A longer header is ignored, as RFC 9110 14.2 permits,
#: because WebOb's pattern takes quadratic time for blanks.
RANGE_MAX = 1000
_OCTETS = "application/octet-stream"


class ReaderIterator:
    """An iterable over the blocks of a reader, for WSGI; the WSGI server closes it."""

    def __init__(self, reader: Reader, release_worker: StandIn):
        self._reader = reader
        self._stand_in = release_worker

    def __iter__(self) -> Iterator[bytes]:
        with self._stand_in():
            while block := self._reader.read(BLOCK):
                yield block

    def close(self) -> None:
        """Close the reader."""
        self._reader.close()


class RangeNotSatisfiable(Exception):
    """The requested range is outside the image."""

    def __init__(self, size: int):
        super().__init__(f"The image has {size} bytes; the range lies outside of them.")
        self.headers = {"Content-Range": f"bytes */{size}"}


def image_response(request: Request, image: Image) -> Response:
    """Return a response with an image's bytes, the requested range, or 304 (RFC 9110 13 and 14).

    If several ranges are requested, the response has only the first. If the store gives direct access, the
    response is a redirect, or has a header that makes the reverse proxy send the bytes. Otherwise, the bytes
    are opened before any header is sent, so that an error still gets its own response. A HEAD is answered
    from the record, without opening the bytes.

    Raises:
        NoData: the image has no bytes.
        NoGoodCopy, StoreError: no copy of the bytes can be read.
        PreconditionFailed: the bytes do not meet the condition of the request.
        RangeNotSatisfiable: no byte of the image is in the range.
    """
    request.lifecycle.reading.require_data(image)
    validators = Validators.of(image)
    response = _described(request, image, validators)
    if request.method == "HEAD" or response.status_int == 304:
        return response
    counts = request.lifecycle.downloads
    shortcut = request.lifecycle.reading.shortcut(image)
    if shortcut is not None:
        counts.note(image.id, from_start=_asks_for_start(request))
        return _send_elsewhere(request, response, image, shortcut)
    open_range = partial(request.lifecycle.reading.open, image)
    wanted = _wanted_range(request, validators, image.size)
    response.headers.extend(wanted_digests(request, image, partial=wanted is not None))
    if wanted is None:
        reader, length = open_range(0, None), image.size
    else:
        response.status_int = 206
        response.content_range = ContentRange(wanted.start, wanted.stop, image.size)
        reader, length = open_range(wanted.start, len(wanted)), len(wanted)
    counts.note(image.id, from_start=wanted is None or wanted.start == 0)
    return _send(request, response, reader, length)


def metadata_response(request: Request, image: Image, content_type: str = _OCTETS) -> Response:
    """Return the response to a HEAD for metadata; for an active image, its headers also describe the bytes.

    Raises:
        PreconditionFailed: the bytes do not meet the condition of the request.
    """
    if image.status is Status.ACTIVE:
        return _described(request, image, Validators.of(image), content_type)
    # Omit Content-Length, because clients would read 0 as the size of the image.
    return Response(headerlist=[("Content-Type", content_type)], app_iter=())


def _described(
    request: Request, image: Image, validators: Validators, content_type: str = _OCTETS
) -> Response:
    """Return a response with the headers that describe the bytes, or 304.

    The headers are set directly, because WebOb's setters would take a tenth of the request's time.

    Raises:
        PreconditionFailed: the bytes do not meet the condition of the request.
    """
    headers = [
        ("Accept-Ranges", "bytes"),
        ("Last-Modified", email.utils.format_datetime(validators.modified, usegmt=True)),
    ]
    if validators.etag:
        headers.append(("ETag", f'"{validators.etag}"'))
    if validators.are_current(request):
        return Response(status=304, headerlist=headers, app_iter=())
    headers.append(("Content-Type", content_type))
    if request.method == "HEAD":
        headers.extend(wanted_digests(request, image))
        if image.size is not None:
            headers.append(("Content-Length", str(image.size)))
    return Response(headerlist=headers, app_iter=())


def _send_elsewhere(request: Request, response: Response, image: Image, shortcut: DirectAccess) -> Response:
    if shortcut.url is not None:
        response.status_int = 307
        response.headers["Location"] = shortcut.url
        response.cache_control = "no-store"  # because the URL expires within minutes
    else:
        response.headers["X-Accel-Redirect"] = shortcut.path
        response.headers.extend(wanted_digests(request, image, partial=True))  # the proxy answers ranges
    return response


def _asks_for_start(request: Request) -> bool:
    """Return whether a request that is answered elsewhere asks for the first byte."""
    asked = request.headers.get("Range")
    return asked is None or _FROM_START.match(asked) is not None


def _wanted_range(request: Request, validators: Validators, size: int | None) -> range | None:
    """Return the requested range, or None for the whole image; raises RangeNotSatisfiable."""
    if len(request.headers.get("Range", "")) > RANGE_MAX:
        return None
    try:
        asked = request.range
    except ValueError:  # WebOb calls int(), which refuses too many digits
        return None
    if asked is None or size is None or not validators.allow_range(request):
        return None
    if _LAST_NONE.match(request.headers["Range"]):
        raise RangeNotSatisfiable(size)
    start, stop = asked.start, size if asked.end is None else min(asked.end, size)
    if start < 0:
        start = max(size + start, 0)  # a suffix: the last bytes of the image
    if start >= stop:
        raise RangeNotSatisfiable(size)
    return range(start, stop)


def _send(request: Request, response: Response, reader: Reader, length: int | None) -> Response:
    file = reader.file if isinstance(reader, LimitedReader) else None
    wrap = request.environ.get("wsgi.file_wrapper")
    # The server sends Content-Length bytes of a real file, from the file's position.
    if wrap is not None and file is not None:
        response.app_iter = wrap(file, BLOCK)
    else:
        response.app_iter = ReaderIterator(reader, STAND_IN.get())
    response.content_length = length  # set last, because setting app_iter resets it
    return response
