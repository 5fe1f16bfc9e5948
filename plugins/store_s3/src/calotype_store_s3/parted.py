"""Uploads in parts, each of which is a multipart upload of S3 that any process can continue."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence

from calotype.stores import BlobNotFound, Duplicate, PartReceipt, Piece, Reader, StoreError
from calotype.stores.toolkit import PartLimits, PartReader
from calotype_store_s3.bucket import Bucket
from calotype_store_s3.errors import code_of
from calotype_store_s3.upload import GONE, Upload, abort, receipt

#: Error codes of requests for an upload, or for a part, that does not exist or was replaced.
_MISSING = GONE | {"InvalidPart", "InvalidUploadId"}


class PartedUpload(Upload):
    """A multipart upload, which its token describes: the token of the object, and S3's id of the upload."""

    @classmethod
    def begin(cls, bucket: Bucket, name: str) -> str:
        """Begin an upload, and return its token.

        Raises:
            Duplicate, Unavailable: see the contract's `begin`.
        """
        upload = cls(bucket, name)
        upload._refuse_taken()
        upload._begin()
        return f"{upload._token}:{upload._upload_id}"

    @classmethod
    def of(cls, bucket: Bucket, name: str, token: str) -> PartedUpload:
        """Return the upload with this token."""
        upload = cls(bucket, name)
        upload._token, _, upload._upload_id = token.partition(":")
        if not upload._upload_id:
            raise BlobNotFound(bucket.store, "there is no such upload")
        return upload

    def put(self, piece: Piece, source: Reader) -> PartReceipt:
        """Store a part. It is held in memory, or in a file if it is large, so that it can be sent again."""
        # Swift's s3api accepts parts of an upload that is complete, and would put them into the object.
        if self._head() is not None:
            raise BlobNotFound(self._bucket.store, "the upload has ended")
        limits = PartLimits(1, self._bucket.options.part_memory, spool=True)
        parts = PartReader(self._bucket.store, source, iter([piece.size]), limits)
        with contextlib.closing(parts), self._missing_named():
            sent = self._put(piece.number, parts.next())
        return _receipt(sent.size, sent.receipt)

    def finish(self, parts: Sequence[PartReceipt]) -> int:
        """Join the parts, and return their total size in bytes.

        If an earlier call has joined them already, only return the size.
        """
        ordered = sorted(parts, key=lambda part: part.number)
        entries = [_entry(self._bucket.store, part) for part in ordered]
        try:
            with self._missing_named():
                self._complete(entries)
        except Duplicate:
            if not self._is_mine():
                raise
        return sum(part.size for part in ordered)

    def abort(self) -> None:
        """Remove the upload and all its parts."""
        abort(self._bucket, self._name, self._upload_id or "")

    def parts(self) -> Iterator[PartReceipt]:
        """Yield the receipts of all parts."""
        with self._missing_named():
            for page in self._bucket.pages("list_parts", Key=self._name, UploadId=self._upload_id):
                for part in page.get("Parts", ()):
                    yield _receipt(part["Size"], receipt(part["PartNumber"], part))

    @contextlib.contextmanager
    def _missing_named(self) -> Iterator[None]:
        try:
            yield
        except StoreError as error:
            if code_of(error) not in _MISSING:
                raise
            raise BlobNotFound(self._bucket.store, "there is no such upload, or it lacks a part") from error


def _receipt(size: int, entry: dict) -> PartReceipt:
    checksums = {name: value for name, value in entry.items() if name != "PartNumber"}
    return PartReceipt(entry["PartNumber"], size, json.dumps(checksums, sort_keys=True))


def _entry(store: str, part: PartReceipt) -> dict:
    """Return a part's entry in the request that completes the upload."""
    with contextlib.suppress(ValueError):
        checksums = json.loads(part.token)
        if isinstance(checksums, dict):
            return {"PartNumber": part.number, **checksums}
    raise BlobNotFound(store, "a part of the upload is missing")
