"""Uploading an object: in one request, or in parts, with a limit on the bytes held in memory.

Each upload marks its object with its own token. botocore repeats a request whose answer was lost. If
the first try succeeded, `If-None-Match: *` makes the server refuse the second. The token then shows that the
object belongs to this upload.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import secrets
from dataclasses import dataclass
from typing import Any

from calotype.stores import BlobNotFound, Duplicate, Reader, StoreError
from calotype.stores.toolkit import Part, PartLimits, PartReader
from calotype_store_s3.bucket import Bucket
from calotype_store_s3.errors import code_of, lost_answers
from calotype_store_s3.parts import part_sizes

log = logging.getLogger(__name__)

#: The user metadata that holds an upload's token.
TOKEN = "calotype-upload"  # noqa: S105  (a name, not a secret)
#: Error codes of a conditional write if the object may exist.
TAKEN = {"PreconditionFailed", "412", "ConditionalRequestConflict", "NoSuchUpload"}
#: Maximum number of attempts to abort an upload, and the error codes that show that the upload is gone.
ABORTS = 4
GONE = {"NoSuchUpload", "NoSuchKey", "404"}


@dataclass(frozen=True, slots=True)
class _Sent:
    """A part that was sent: its size in bytes, and its entry in the request that completes the upload."""

    size: int
    receipt: dict


class Upload:
    """One upload of one key. `run` stores the source and returns its number of bytes."""

    def __init__(self, bucket: Bucket, name: str):
        self._bucket = bucket
        self._name = name
        self._token = secrets.token_hex(16)
        self._upload_id: str | None = None
        self._written = False

    def run(self, source: Reader, size: int | None) -> int:
        """Store all bytes and return their number, or leave nothing."""
        self._refuse_taken()
        options = self._bucket.options
        sizes = part_sizes(size, options.part_size)
        if size is not None and size < options.multipart_threshold:
            sizes = itertools.chain([size or 1], sizes)
        limits = PartLimits(options.max_concurrency, options.part_memory)
        parts = PartReader(self._bucket.store, source, sizes, limits)
        try:
            return self._store(parts)
        except BaseException:
            self._undo()
            raise

    def _store(self, parts: PartReader) -> int:
        part = parts.next()
        if part.last:
            self._write("put_object", Body=part.data, **self._settings())
            return part.size
        self._begin()
        sent = parts.send(part, self._put)
        self._complete([one.receipt for one in sent])
        return sum(one.size for one in sent)

    def _complete(self, receipts: list[dict]) -> None:
        self._write(
            "complete_multipart_upload", UploadId=self._upload_id, MultipartUpload={"Parts": receipts}
        )

    def _begin(self) -> None:
        try:
            answer = self._bucket.call("create_multipart_upload", Key=self._name, **self._settings())
        except StoreError as error:
            self._drop_nameless(error)
            raise
        self._upload_id = answer["UploadId"]
        self._drop_nameless(answer)

    def _drop_nameless(self, outcome: StoreError | dict) -> None:
        """Abort an upload whose id is unknown, because the answer to the request that began it was lost."""
        if lost_answers(outcome):
            with contextlib.suppress(StoreError):
                abort_all(self._bucket, self._name, spare=self._upload_id)

    def _put(self, number: int, part: Part) -> _Sent:
        answer = self._bucket.call(
            "upload_part", Key=self._name, UploadId=self._upload_id, PartNumber=number, Body=part.data
        )
        return _Sent(part.size, receipt(number, answer))

    def _write(self, operation: str, **arguments: Any) -> None:
        """Do the operation that creates the object, if the key is free."""
        # Not every server implements the condition for both requests, so uploads of this process take turns.
        with self._bucket.turn(self._name):
            self._refuse_taken()
            self._written = True
            try:
                self._unless_taken(operation, **arguments)
            except StoreError as error:
                if lost_answers(error) and self._is_mine():
                    return
                if code_of(error) in TAKEN:
                    self._refuse_taken()
                raise

    def _unless_taken(self, operation: str, **arguments: Any) -> None:
        if self._bucket.conditional:
            try:
                self._bucket.call(operation, Key=self._name, IfNoneMatch="*", **arguments)
                return
            except StoreError as error:
                if code_of(error) not in ("NotImplemented", "501"):
                    raise
        self._bucket.call(operation, Key=self._name, **arguments)
        # The request succeeded without the condition, so the server does not implement the condition.
        self._bucket.conditional = False

    def _settings(self) -> dict[str, Any]:
        options = self._bucket.options
        settings = {
            "StorageClass": options.storage_class,
            "ServerSideEncryption": options.sse,
            "SSEKMSKeyId": options.kms_key_id,
            "Metadata": {TOKEN: self._token},
            "ContentType": "application/octet-stream",
        }
        return {name: value for name, value in settings.items() if value is not None}

    def _head(self) -> dict | None:
        try:
            return self._bucket.call("head_object", Key=self._name)
        except BlobNotFound:
            return None

    def _refuse_taken(self) -> None:
        if self._head() is not None:
            raise Duplicate(self._bucket.store, "the key is taken")

    def _is_mine(self) -> bool:
        with contextlib.suppress(StoreError):
            head = self._head()
            return head is not None and head["Metadata"].get(TOKEN) == self._token
        return False

    def _undo(self) -> None:
        """Remove everything that this upload has stored."""
        if self._upload_id is not None:
            try:
                abort(self._bucket, self._name, self._upload_id)
            except StoreError as error:
                log.warning("an upload could not be aborted; its parts remain until discarded: %s", error)
        if self._written and self._is_mine():
            with contextlib.suppress(StoreError):
                self._bucket.call("delete_object", Key=self._name)


def abort(bucket: Bucket, name: str, upload_id: str) -> None:
    """Abort a multipart upload, repeatedly until the server says that it does not exist.

    Raises:
        StoreError: the server refuses each time, or does not answer, after botocore's own retries.
    """
    for left in reversed(range(ABORTS)):
        try:
            bucket.call("abort_multipart_upload", Key=name, UploadId=upload_id)
        except StoreError as error:
            if code_of(error) in GONE:
                return
            if not left or not code_of(error):
                raise


def abort_all(bucket: Bucket, name: str, spare: str | None = None) -> None:
    """Abort all multipart uploads of the object except `spare`."""
    uploads = [
        upload["UploadId"]
        for page in bucket.pages("list_multipart_uploads", Prefix=name)
        for upload in page.get("Uploads", ())
        if upload["Key"] == name and upload["UploadId"] != spare
    ]
    for upload_id in uploads:
        abort(bucket, name, upload_id)


def receipt(number: int, answer: dict) -> dict:
    """Return a part's entry in the request that completes the upload, with the server's checksums."""
    checksums = {
        name: value
        for name, value in answer.items()
        if name.startswith("Checksum") and name != "ChecksumType"
    }
    return {"PartNumber": number, "ETag": answer["ETag"], **checksums}
