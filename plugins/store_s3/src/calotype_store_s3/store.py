"""The S3 driver: each blob is one object, named by prefix and key."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Sequence
from typing import Any

from calotype.stores import (
    Blob,
    BlobChanged,
    BlobNotFound,
    DirectUrl,
    Listing,
    Misconfigured,
    PartReceipt,
    Parts,
    Piece,
    Reader,
    Store,
    Stored,
    StoreError,
    StoreInfo,
    TooLarge,
    WritableStore,
)
from calotype.stores.contract import KEY
from calotype.stores.toolkit import key_of
from calotype_store_s3.bucket import Bucket
from calotype_store_s3.copying import Copy, Original, is_same_account
from calotype_store_s3.errors import NO_BUCKET, code_of
from calotype_store_s3.options import PART_MAX, PART_MIN, S3Options
from calotype_store_s3.parted import PartedUpload
from calotype_store_s3.parts import PARTS, largest
from calotype_store_s3.reader import ObjectReader
from calotype_store_s3.upload import Upload, abort_all

SCHEME = "s3:"
#: The longest validity of a signature of version 4, in seconds.
WEEK = 7 * 24 * 3600


class S3Store(WritableStore[S3Options], Listing, DirectUrl, Parts):
    """Images in a bucket. A location is `s3:KEY`, relative to bucket and prefix."""

    api_version = (2, 0)
    Options = S3Options
    ranges = True
    part_min, part_max, parts_max = PART_MIN, PART_MAX, PARTS

    def __init__(self, name: str, options: S3Options):
        super().__init__(name, options)
        self._bucket = Bucket(name, options)

    def get(self, location: str, offset: int = 0, length: int | None = None) -> Reader:
        """Open an object at an offset. The reader is empty if the offset is beyond the end."""
        name = self._object(location)
        if length == 0:
            self.size(location)
            return io.BytesIO()
        try:
            return ObjectReader(self._bucket, name, offset, length)
        except StoreError as error:
            if code_of(error) in ("InvalidRange", "416"):
                return io.BytesIO()
            raise

    def size(self, location: str) -> int:
        """Return the object's size in bytes."""
        return self._head(location)["ContentLength"]

    def add(self, key: str, source: Reader, size: int | None = None) -> Stored:
        """Store a source, in one request or in parts."""
        location = self.locate(key)
        self._admit(size or 0)
        return Stored(location, Upload(self._bucket, self._object(location)).run(source, size))

    def copy_from(self, key: str, source: Store[Any], location: str, size: int) -> Stored | None:
        """Let the server copy the object, if both stores use the same account of the same server."""
        if not isinstance(source, S3Store) or not is_same_account(self.options, source.options):
            return None
        self._admit(size)
        head = source._head(location)
        if head["ContentLength"] != size:
            raise BlobChanged(source.name, f"it holds {head['ContentLength']} bytes of an image of {size}")
        original = Original(source.name, source.options.bucket, source._object(location), head["ETag"], size)
        target = self.locate(key)
        copied = Copy(self._bucket, self._object(target)).run_copy(original)
        return Stored(target, size) if copied else None

    def delete(self, location: str) -> None:
        """Remove an object. A HEAD comes first, because a DELETE does not report whether there was one."""
        self.size(location)
        self._bucket.call("delete_object", Key=self._object(location))

    def discard(self, key: str) -> None:
        """Abort all multipart uploads of the key, and remove its object."""
        name = self._object(self.locate(key))
        abort_all(self._bucket, name)
        self._bucket.call("delete_object", Key=name)

    def locate(self, key: str) -> str:
        """Return `s3:KEY`."""
        return SCHEME + key

    def direct_url(self, location: str, expires: int) -> str:
        """Return a presigned URL at the public endpoint, valid for a week at most."""
        return self._bucket.signed_url(self._object(location), min(expires, WEEK))

    def blobs(self) -> Iterator[Blob]:
        """Yield every object whose name is the prefix and a key. The bucket may contain other objects."""
        for page in self._bucket.pages("list_objects_v2", Prefix=self.options.prefix):
            for found in page.get("Contents", ()):
                key = self._key(found["Key"])
                if key:
                    yield Blob(SCHEME + key, found["Size"], found["LastModified"])

    def attempts(self) -> Iterator[Blob]:
        """Yield every multipart upload that was neither completed nor aborted, with the size of its parts."""
        for page in self._bucket.pages("list_multipart_uploads", Prefix=self.options.prefix):
            for found in page.get("Uploads", ()):
                key = self._key(found["Key"])
                if key:
                    yield Blob(key, self._parts_size(found["Key"], found["UploadId"]), found["Initiated"])

    def begin(self, key: str, size: int | None = None) -> str:
        """Begin a multipart upload."""
        self._admit(size or 0)
        return PartedUpload.begin(self._bucket, self._object(self.locate(key)))

    def put_part(self, key: str, token: str, piece: Piece, source: Reader) -> PartReceipt:
        """Store a part of a multipart upload."""
        return self._parted(key, token).put(piece, source)

    def finish(self, key: str, token: str, parts: Sequence[PartReceipt]) -> Stored:
        """Complete a multipart upload."""
        return Stored(self.locate(key), self._parted(key, token).finish(parts))

    def abort(self, key: str, token: str) -> None:
        """Abort a multipart upload."""
        with contextlib.suppress(BlobNotFound):
            self._parted(key, token).abort()

    def list_parts(self, key: str, token: str) -> Iterator[PartReceipt]:
        """Yield the receipts of the parts of a multipart upload."""
        return self._parted(key, token).parts()

    def create(self) -> None:
        """Create the bucket in the region of the options, unless it exists."""
        with contextlib.suppress(BlobNotFound):
            self._bucket.call("head_bucket")
            return
        region = self.options.region
        place = {"LocationConstraint": region} if region not in (None, "us-east-1") else None
        try:
            self._bucket.call("create_bucket", **({"CreateBucketConfiguration": place} if place else {}))
        except StoreError as error:
            if code_of(error) != "BucketAlreadyOwnedByYou":
                raise

    def info(self) -> StoreInfo:
        """Return the size of the largest object. S3 has no request for the room that is left."""
        self._need_bucket()
        return StoreInfo(largest=largest())

    def check(self) -> None:
        """List one object. Unlike a HEAD, a listing that fails returns a reason."""
        self._bucket.call("list_objects_v2", Prefix=self.options.prefix, MaxKeys=1)

    def close(self) -> None:
        """Close the connections."""
        self._bucket.close()

    def _parted(self, key: str, token: str) -> PartedUpload:
        return PartedUpload.of(self._bucket, self._object(self.locate(key)), token)

    def _admit(self, size: int) -> None:
        if size > largest():
            raise TooLarge(
                self.name, f"the image has {size} bytes, and an object of S3 at most {largest()} bytes"
            )

    def _head(self, location: str) -> dict:
        name = self._object(location)
        try:
            return self._bucket.call("head_object", Key=name)
        except BlobNotFound:
            # The answer to a HEAD does not distinguish a missing object from a missing bucket, which is
            # a mistake of the operator and not the loss of an image.
            self._need_bucket()
            raise

    def _object(self, location: str) -> str:
        return self.options.prefix + key_of(self.name, location, SCHEME)

    def _key(self, name: str) -> str | None:
        key = name.removeprefix(self.options.prefix)
        return key if KEY.fullmatch(key) else None

    def _need_bucket(self) -> None:
        try:
            self._bucket.call("head_bucket")
        except BlobNotFound as error:
            raise Misconfigured(self.name, NO_BUCKET) from error

    def _parts_size(self, name: str, upload_id: str) -> int:
        with contextlib.suppress(StoreError):
            pages = self._bucket.pages("list_parts", Key=name, UploadId=upload_id)
            return sum(part["Size"] for page in pages for part in page.get("Parts", ()))
        return 0
