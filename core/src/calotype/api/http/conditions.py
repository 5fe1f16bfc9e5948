"""Conditional requests for an image's bytes: If-Match and its kin, in the order of RFC 9110 13.2.2."""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass

from webob.datetime_utils import parse_date

from calotype.api.http.request import Request
from calotype.model.images import Image

_TAGS = re.compile(r'(W/)?"([^"]*)"')


class PreconditionFailed(Exception):
    """The bytes are not those that the request is about."""

    def __init__(self) -> None:
        super().__init__("The image's bytes are others than If-Match or If-Unmodified-Since asks for.")


@dataclass(frozen=True, slots=True)
class Validators:
    """The ETag and the date of an image's bytes. Both are strong: an active image's bytes never change.

    `etag` is without quotes; None: no digest is known. `modified` has whole seconds, as dates in headers do.
    """

    etag: str | None
    modified: datetime.datetime

    @classmethod
    def of(cls, image: Image) -> Validators:
        """Return those of an image; `created_at` stands for an `activated_at` that was not recorded yet."""
        since = image.activated_at or image.created_at
        return cls(image.checksum or image.os_hash_value, since.replace(microsecond=0))

    def are_current(self, request: Request) -> bool:
        """Return whether the client has these bytes already, so that the answer to its GET or HEAD is 304.

        Raises:
            PreconditionFailed: the client is interested in other bytes only.
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
        """Return whether If-Range, if the request has it, names these bytes; otherwise Range is ignored."""
        given = request.environ.get("HTTP_IF_RANGE")
        if not given:
            return True
        # Images v1 sends the ETag without quotes, and its clients send it back like that.
        return given.strip('"') == self.etag or _read_date(given) == self.modified

    def _is_in(self, tags: str, *, weakly: bool = False) -> bool:
        if tags == "*" or tags == self.etag:
            return True
        return any(tag == self.etag and (weakly or not weak) for weak, tag in _TAGS.findall(tags))


def _read_date(text: str | None) -> datetime.datetime | None:
    """Return an HTTP date; None for any other text, which is ignored."""
    try:
        return parse_date(text)
    except (ValueError, OverflowError):
        return None
