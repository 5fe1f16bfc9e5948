"""One attempt to store a source under a key, completely or not at all.

A source that fits into one segment is sent in one PUT. So is a source of a known length up to
`single_object_max`, whose bytes are passed on as they arrive. Any other is sent in segments, several at a
time, named `<key>/<attempt>/<n>`, which Swift removes by itself after `segment_ttl`. Afterwards the manifest
is written, and finally the expiry of every segment is removed; only then does the upload succeed. If the
process crashes earlier, the segments expire or `discard` removes them. No acknowledged upload ever expires.

`If-None-Match: *` protects an older object. If the answer to a PUT is lost, a retry finds the bytes of the
first try. The name of the attempt, kept in the object's metadata, shows that the object belongs
to this attempt.
"""

from __future__ import annotations

import contextlib
import json
import logging
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from calotype.stores import BlobNotFound, Duplicate, Reader, Stored, StoreError
from calotype.stores.toolkit import Part, PartLimits, PartReader
from calotype_store_swift.account import Account
from calotype_store_swift.segments import PartBody, md5_of

log = logging.getLogger(__name__)

ATTEMPT = "X-Object-Meta-Calotype-Attempt"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a blob is: an object in `container`, named by its key, and segments in another container."""

    location: str
    key: str
    container: str
    segments: str


class Upload:
    """An attempt to store a source at a place."""

    def __init__(self, account: Account, place: Place):
        self._account = account
        self._options = account.options
        self._place = place
        self._attempt = secrets.token_hex(8)
        self._sent: list[str] = []
        self._in_doubt = False

    def run(self, source: Reader, length: int | None, sizes: Iterator[int]) -> Stored:
        """Store the source, in segments of these sizes if necessary; `length` is None if it is unknown.

        Raises:
            Duplicate, StoreFull, Unavailable: see `Store.add`.
        """
        options = self._options
        limits = PartLimits(
            options.segment_concurrency, options.upload_memory, "segment_size", True, options.spool_dir
        )
        parts = PartReader(self._account.store, source, sizes, limits)
        try:
            with contextlib.closing(parts):
                return self._store(parts, length)
        except BaseException:
            self._undo()
            raise

    def _store(self, parts: PartReader, length: int | None) -> Stored:
        first, place = parts.next(), self._place
        if first.last:
            body = PartBody(self._account.store, first)
            md5 = self._put_new(body, content_length=first.size, etag=md5_of(first))
            return Stored(place.location, first.size, md5)
        if self._account.find(place.container, place.key) is not None:  # checked before gigabytes are sent
            raise Duplicate(self._account.store, "the key is taken")
        if length is not None and length <= self._options.single_object_max:
            md5 = self._put_new(PartBody(self._account.store, first, parts), content_length=length)
            if self._ours() is None:  # Swift checks If-None-Match only when the body begins
                raise Duplicate(self._account.store, "another upload has taken the key meanwhile")
            return Stored(place.location, length, md5)
        entries = parts.send(first, self._put_segment)
        self._put_new(json.dumps(entries), query_string="multipart-manifest=put")
        self._account.for_each(self._keep, self._sent)
        return Stored(place.location, sum(entry["size_bytes"] for entry in entries))

    def _put_segment(self, number: int, part: Part) -> dict[str, Any]:
        name = f"{self._place.key}/{self._attempt}/{number:08d}"
        self._sent.append(name)
        md5 = self._send_segment(name, part)
        return {"path": f"/{self._place.segments}/{name}", "etag": md5, "size_bytes": part.size}

    def _send_segment(self, name: str, part: Part) -> str:
        """Store a part as an object that expires, and return its MD5."""
        md5 = md5_of(part)
        self._put_expiring(name, PartBody(self._account.store, part), content_length=part.size, etag=md5)
        return md5

    def _put_expiring(self, name: str, body: PartBody | bytes, **options: Any) -> None:
        headers = {"X-Delete-After": str(round(self._options.segment_ttl))}
        self._account.call(
            "put_object", self._place.segments, name, body, headers=headers, writing=True, **options
        )

    def _put_new(self, body: PartBody | str, **options: Any) -> str:
        """Create the object unless the key is taken, and return its ETag."""
        headers = {"If-None-Match": "*", ATTEMPT: self._attempt, "Content-Type": "application/octet-stream"}
        place = self._place
        self._in_doubt = True
        try:
            return self._account.call(
                "put_object", place.container, place.key, body, headers=headers, writing=True, **options
            )
        except StoreError as error:
            if isinstance(error, Duplicate) and (held := self._ours()) is not None:
                return held["etag"].strip('"')
            self._in_doubt = not 400 <= self._account.status_of(error) < 500
            raise

    def _ours(self) -> dict[str, str] | None:
        """Return the object's headers if this attempt created the object, otherwise None."""
        held = self._account.find(self._place.container, self._place.key)
        return held if held is not None and held.get(ATTEMPT.lower()) == self._attempt else None

    def _keep(self, name: str) -> None:
        # A POST replaces all metadata: without X-Delete-At, the object does not expire.
        self._account.call("post_object", self._place.segments, name, {}, writing=True)

    def _undo(self) -> None:
        """Remove everything; first the object, which may exist although its PUT seems to have failed."""
        try:
            if self._in_doubt and self._ours() is not None:
                self._account.call("delete_object", self._place.container, self._place.key)
            self._account.for_each(self._remove_segment, self._sent)
        except StoreError:
            log.warning(
                "store '%s': a failed upload could not be undone; its segments expire", self._account.store
            )

    def _remove_segment(self, name: str) -> None:
        with contextlib.suppress(BlobNotFound):
            self._account.call("delete_object", self._place.segments, name)
