"""One attempt to put a source under a key: whole, or nothing of it is left.

A source that ends within one segment is one PUT, and so is one of known length up to
`single_object_max`, which goes on to Swift as it comes. Any other goes as segments, several
at a time, under `<key>/<attempt>/<n>`, which Swift removes by itself after
`segment_ttl`; then comes the manifest, and only when the expiry of every segment is
taken off again does the upload count as done. A crash at any point before leaves
what expires, or what `discard` finds; nothing acknowledged ever expires.

`If-None-Match: *` keeps an older object. Swift may repeat a PUT whose answer was
lost, and then refuses its own bytes: the attempt's name, kept with the object as
metadata, tells those from another's.
"""

from __future__ import annotations

import contextlib
import json
import logging
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

from calotype.stores import Duplicate, Reader, Stored, StoreFull
from calotype_store_swift.connections import Connections
from calotype_store_swift.failures import explained, is_failure, status_of
from calotype_store_swift.options import SwiftOptions
from calotype_store_swift.segments import Body, RewindableBody, Segment, SegmentReader, room_for

if TYPE_CHECKING:
    import swiftclient

log = logging.getLogger(__name__)

ATTEMPT = "X-Object-Meta-Calotype-Attempt"


class Upload:
    """An attempt: where it puts the object and its segments."""

    def __init__(
        self,
        store: str,
        options: SwiftOptions,
        connections: Connections,
        container: str,
        segments: str,
        key: str,
        location: str,
    ):
        self._store = store
        self._options = options
        self._connections = connections
        self._container = container
        self._segments = segments
        self._key = key
        self._location = location
        self._attempt = secrets.token_hex(8)
        self._sent: list[str] = []
        self._in_doubt = False

    def run(self, source: Reader, length: int | None, sizes: Iterator[int]) -> Stored:
        """Put the source there, of that length if it is known, in segments of those sizes if need be.

        Raises:
            Duplicate, StoreFull, Unavailable: as `Store.add`.
        """
        cutter = SegmentReader(source, self._options)
        first = cutter.cut(next(sizes))
        try:
            with contextlib.closing(first):
                if cutter.ended:
                    return self._stored(first.size, self._put_whole(first.body, first.size, first.md5))
                self._refuse_taken()
                if length is not None and length <= self._options.single_object_max:
                    whole = RewindableBody(self._store, first, cutter)
                    return self._stored(length, self._put_whole(whole, length))
                entries = self._put_segments(cutter, first, sizes)
            self._put_manifest(entries)
            with explained(self._store, writing=True):
                self._connections.for_each(self._keep, self._sent)
        except BaseException:
            self._undo()
            raise
        return self._stored(sum(entry["size_bytes"] for entry in entries))

    def _stored(self, size: int, md5: str | None = None) -> Stored:
        return Stored(self._location, size, md5)

    def _put_whole(self, body: Body, size: int, md5: str | None = None) -> str:
        def put(connection: swiftclient.Connection, headers: dict[str, str]) -> str:
            return connection.put_object(
                self._container, self._key, body, content_length=size, etag=md5, headers=headers
            )

        return self._put_new(put)

    def _refuse_taken(self) -> None:
        """Before gigabytes are sent in vain."""
        with explained(self._store, writing=True), self._connections.lent() as connection:
            if _head(connection, self._container, self._key) is not None:
                raise Duplicate(self._store, "the key is taken")

    def _put_segments(self, cutter: SegmentReader, first: Segment, sizes: Iterator[int]) -> list[dict]:
        entries: list[dict] = []
        pending: set[Future] = set()
        with ThreadPoolExecutor(self._options.segment_concurrency) as threads:
            pending.add(threads.submit(self._put_segment, self._next_name(), first))
            while not cutter.ended:
                size = next(sizes, None)
                if size is None:
                    raise StoreFull(self._store, "a manifest cannot hold so many bytes (option segment_size)")
                while len(pending) >= room_for(size, self._options).count:
                    done, pending = wait(pending, return_when=FIRST_COMPLETED)
                    entries.extend(future.result() for future in done)
                pending.add(threads.submit(self._put_segment, self._next_name(), cutter.cut(size)))
            entries.extend(future.result() for future in pending)
        return sorted(entries, key=lambda entry: entry["path"])

    def _next_name(self) -> str:
        name = f"{self._key}/{self._attempt}/{len(self._sent):08d}"
        self._sent.append(name)
        return name

    def _put_segment(self, name: str, piece: Segment) -> dict:
        with (
            contextlib.closing(piece),
            explained(self._store, writing=True),
            self._connections.lent() as connection,
        ):
            connection.put_object(
                self._segments,
                name,
                piece.body,
                content_length=piece.size,
                etag=piece.md5,
                headers={"X-Delete-After": str(round(self._options.segment_ttl))},
            )
        return {"path": f"/{self._segments}/{name}", "etag": piece.md5, "size_bytes": piece.size}

    def _put_manifest(self, entries: list[dict]) -> None:
        manifest = json.dumps(entries)

        def put(connection: swiftclient.Connection, headers: dict[str, str]) -> str:
            return connection.put_object(
                self._container, self._key, manifest, headers=headers, query_string="multipart-manifest=put"
            )

        self._put_new(put)

    def _put_new(self, put: Callable[[swiftclient.Connection, dict[str, str]], str]) -> str:
        """Make the object, unless the key is taken; return its ETag."""
        headers = {"If-None-Match": "*", ATTEMPT: self._attempt, "Content-Type": "application/octet-stream"}
        with explained(self._store, writing=True), self._connections.lent() as connection:
            self._in_doubt = True
            try:
                return put(connection, headers)
            except Exception as error:
                status = status_of(error)
                if status in (409, 412):
                    held = self._ours(connection)
                    if held is not None:
                        return held["etag"].strip('"')
                self._in_doubt = not 400 <= status < 500
                raise

    def _ours(self, connection: swiftclient.Connection) -> dict[str, str] | None:
        """The object's headers, if it is this attempt that made it."""
        held = _head(connection, self._container, self._key)
        return held if held is not None and held.get(ATTEMPT.lower()) == self._attempt else None

    def _keep(self, connection: swiftclient.Connection, name: str) -> None:
        # A POST replaces all that can be changed: without X-Delete-At there is no expiry any more.
        connection.post_object(self._segments, name, {})

    def _undo(self) -> None:
        """Leave nothing: first the object, which may be there although its PUT seems to have failed."""
        try:
            if self._in_doubt:
                with self._connections.lent() as connection:
                    if self._ours(connection) is not None:
                        connection.delete_object(self._container, self._key)
            self._connections.for_each(self._remove_segment, self._sent)
        except Exception as error:
            if not is_failure(error):
                raise
            log.warning("store '%s': a failed upload could not be undone; its segments expire", self._store)

    def _remove_segment(self, connection: swiftclient.Connection, name: str) -> None:
        try:
            connection.delete_object(self._segments, name)
        except Exception as error:
            if status_of(error) != 404:
                raise


def _head(connection: swiftclient.Connection, container: str, name: str) -> dict[str, str] | None:
    """The object's headers; None where there is none."""
    try:
        return connection.head_object(container, name)
    except Exception as error:
        if status_of(error) == 404:
            return None
        raise
