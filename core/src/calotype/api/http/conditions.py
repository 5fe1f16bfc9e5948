"""Conditional requests for an image's bytes, such as If-Match. RFC 9110 13.2.2 defines the order."""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass

from webob.datetime_utils import parse_date

from calotype.api.http.request import Request
from calotype.model.images import Image

_TAGS = re.compile(r'(W/)?"([^"]*)"')


class PreconditionFailed(Exception):
    """The image's bytes do not meet the condition of the request."""

    def __init__(self) -> None:
        super().__init__(
            "The image's bytes do not meet the condition in If-Match or If-Unmodified-Since. "
            "Read the image again, and then decide."
        )


@dataclass(frozen=True, slots=True)
class Validators:
    """The ETag and the modification date of an image's bytes.

    Both are strong validators, because the bytes of an active image never change.

    `etag` has no quotes, and is None if no digest is known. `modified` has whole seconds, like dates in
    headers.
    """

    etag: str | None
    modified: datetime.datetime

    @classmethod
    def of(cls, image: Image) -> Validators:
        """Return an image's validators. The date is `activated_at`, or `created_at` if there is none."""
        since = image.activated_at or image.created_at
        return cls(image.checksum or image.os_hash_value, since.replace(microsecond=0))

    def are_current(self, request: Request) -> bool:
        """Return True if the client already has these bytes, so that its GET or HEAD gets 304.

        Raises:
            PreconditionFailed: the bytes do not meet the condition in If-Match or If-Unmodified-Since.
        """
        given = request.environ.get
        if tags := given("HTTP_IF_MATCH"):
            meant = self._is_in(tags)
        else:
            date = _read_date(given("HTTP_IF_UNMODIFIED_SINCE"))
            meant = date is None or self.modified <= date
        if not meant:
            raise PreconditionFailed
        if tags := given("HTTP_IF_NONE_MATCH"):
            return self._is_in(tags, weakly=True)
        date = _read_date(given("HTTP_IF_MODIFIED_SINCE"))
        return date is not None and self.modified <= date

    def allow_range(self, request: Request) -> bool:
        """Return True if If-Range is absent or matches these bytes, so that the header Range applies."""
        given = request.environ.get("HTTP_IF_RANGE")
        if not given:
            return True
        # Images v1 sends the ETag without quotes, and its clients return it unchanged.
        return given.strip('"') == self.etag or _read_date(given) == self.modified

    def _is_in(self, tags: str, *, weakly: bool = False) -> bool:
        if tags == "*" or tags == self.etag:
            return True
        return any(tag == self.etag and (weakly or not weak) for weak, tag in _TAGS.findall(tags))


def _read_date(text: str | None) -> datetime.datetime | None:
    """Parse an HTTP date; return None for any other text."""
    try:
        return parse_date(text)
    except (ValueError, OverflowError):
        return None
