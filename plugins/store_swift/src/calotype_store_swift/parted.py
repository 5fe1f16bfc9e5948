"""Uploads in parts, which any process can continue: each part is a segment, and `finish` writes the manifest.

The segments of an upload are named `<key>/<upload>/<number>-<random>`. The name of a segment is never used
twice, so that a late request cannot change the bytes of an image. An empty object, `<key>/<upload>/begun`,
shows that the upload exists.
"""

from __future__ import annotations

import contextlib
import json
import re
import secrets
from collections.abc import Iterator, Sequence
from typing import Any

from calotype.stores import BlobNotFound, Duplicate, PartReceipt, Piece, Reader, Stored, StoreError
from calotype.stores.toolkit import PartLimits, PartReader
from calotype_store_swift.account import Account
from calotype_store_swift.upload import Place, Upload

_UPLOAD = re.compile(r"[0-9a-f]{16}", re.ASCII)
_SEGMENT = re.compile(r"(?P<number>[0-9]{8})-[0-9a-f]{16}", re.ASCII)
_TOKEN = re.compile(r"(?P<name>[0-9]{8}-[0-9a-f]{16}) (?P<md5>[0-9a-f]{32})", re.ASCII)
_BEGUN = "begun"


class PartedUpload(Upload):
    """An upload in parts. Its token is the name of the attempt."""

    def __init__(self, account: Account, place: Place, token: str | None = None):
        super().__init__(account, place)
        if token is not None:
            if not _UPLOAD.fullmatch(token):
                raise BlobNotFound(account.store, "there is no such upload")
            self._attempt = token
        self._folder = f"{place.key}/{self._attempt}/"

    def begin(self) -> str:
        """Begin the upload, and return its token.

        Raises:
            Duplicate: the key is taken.
        """
        if self._account.find(self._place.container, self._place.key) is not None:
            raise Duplicate(self._account.store, "the key is taken")
        self._put_expiring(self._folder + _BEGUN, b"", content_length=0)
        return self._attempt

    def put(self, piece: Piece, source: Reader) -> PartReceipt:
        """Store a part. It is held in memory, or in a file if it is large, so that it can be sent again."""
        self._require_begun()
        options = self._options
        limits = PartLimits(1, options.upload_memory, "segment_size", True, options.spool_dir)
        parts = PartReader(self._account.store, source, iter([piece.size]), limits)
        with contextlib.closing(parts):
            part = parts.next()
            name = f"{piece.number:08d}-{secrets.token_hex(8)}"
            md5 = self._send_segment(self._folder + name, part)
        return PartReceipt(piece.number, part.size, f"{name} {md5}")

    def finish(self, parts: Sequence[PartReceipt]) -> Stored:
        """Write the manifest, and remove everything of the upload that it does not contain.

        If an earlier call has written the manifest already, do the rest.
        """
        entries = [self._entry(part) for part in sorted(parts, key=lambda part: part.number)]
        if self._ours() is None:
            self._require_begun()
            try:
                self._put_new(json.dumps(entries), query_string="multipart-manifest=put")
            except StoreError as error:
                if self._account.status_of(error) != 400:
                    raise
                reason = "a part of the upload is missing, or was replaced"
                raise BlobNotFound(self._account.store, reason) from error
        used = {entry["path"].partition("/")[2].partition("/")[2] for entry in entries}
        self._account.for_each(self._keep, sorted(used))
        others = (name for name in self._names() if name not in used)
        self._account.for_each(self._remove_segment, others)
        return Stored(self._place.location, sum(part.size for part in parts))

    def abort(self) -> None:
        """Remove all segments of the upload, unless they are those of its blob."""
        if self._ours() is None:
            self._account.for_each(self._remove_segment, self._names())

    def parts(self) -> list[PartReceipt]:
        """Return the receipts of the parts. Of a part that was sent again, the newest segment counts."""
        self._require_begun()
        newest: dict[int, dict[str, Any]] = {}
        for entry in self._listing():
            if match := _SEGMENT.fullmatch(entry["name"].removeprefix(self._folder)):
                number = int(match["number"])
                newest[number] = max(newest.get(number, entry), entry, key=lambda one: one["last_modified"])
        return [
            PartReceipt(number, entry["bytes"], f"{entry['name'].removeprefix(self._folder)} {entry['hash']}")
            for number, entry in sorted(newest.items())
        ]

    def _entry(self, part: PartReceipt) -> dict[str, Any]:
        match = _TOKEN.fullmatch(part.token)
        if match is None:
            raise BlobNotFound(self._account.store, "a part of the upload is missing")
        path = f"/{self._place.segments}/{self._folder}{match['name']}"
        return {"path": path, "etag": match["md5"], "size_bytes": part.size}

    def _require_begun(self) -> None:
        if self._account.find(self._place.segments, self._folder + _BEGUN) is None:
            raise BlobNotFound(self._account.store, "there is no such upload")

    def _names(self) -> Iterator[str]:
        return (entry["name"] for entry in self._listing())

    def _listing(self) -> Iterator[dict[str, Any]]:
        return self._account.listing(self._place.segments, prefix=self._folder)
