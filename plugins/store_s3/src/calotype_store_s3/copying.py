"""Copying an object inside the server: in one request, or in parts that the server reads itself."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from calotype.stores import BlobChanged, BlobNotFound, StoreError
from calotype_store_s3.errors import MISSING, code_of
from calotype_store_s3.options import S3Options
from calotype_store_s3.parts import PARTS
from calotype_store_s3.upload import Upload, receipt

#: Maximum number of bytes to copy in one request. S3 allows 5 GiB, but some servers send nothing until the
#: copy is complete, and `read_timeout` would end a long request.
COPY_PART = 256 << 20
#: Error codes of a server that refuses to copy, at all or with these credentials. An upload may still work.
REFUSALS = {"NotImplemented", "501", "AccessDenied", "403", "MethodNotAllowed", "405", "InvalidRequest"}
#: The options that must be equal in two stores, so that the server can copy from one to the other.
ACCOUNT = ("endpoint_url", "region", "access_key", "secret_key")


def is_same_account(options: S3Options, others: S3Options) -> bool:
    """Return whether two stores use the same server with the same credentials."""
    return all(getattr(options, name) == getattr(others, name) for name in ACCOUNT)


@dataclass(frozen=True, slots=True)
class Original:
    """The object to copy: its store, its bucket, its name, its ETag, and its size in bytes."""

    store: str
    bucket: str
    name: str
    etag: str
    size: int

    def request(self, **more: str) -> dict[str, Any]:
        """Return the parameters of a request that copies the object only if it is unchanged."""
        return {
            "CopySource": {"Bucket": self.bucket, "Key": self.name},
            "CopySourceIfMatch": self.etag,
            **more,
        }

    def error(self, error: StoreError) -> StoreError:
        """Return an error about the original if it was removed or replaced, otherwise `error`."""
        if code_of(error) in MISSING:
            return BlobNotFound(self.store, "the object was removed while it was copied")
        if code_of(error) in ("PreconditionFailed", "412"):
            return BlobChanged(self.store, "the object was replaced while it was copied")
        return error


class Copy(Upload):
    """An object that is stored by copying another one. Nothing is left if the copy fails."""

    def run_copy(self, original: Original) -> bool:
        """Copy the object, and return True. If the server refuses to copy, return False and leave nothing.

        Raises:
            BlobNotFound, BlobChanged: the original was removed or replaced; the error names its store.
            Duplicate, StoreFull, TooLarge, Unavailable: see the contract's `add`.
        """
        self._refuse_taken()
        try:
            self._copy(original)
            self._check(original.size)
        except BaseException as error:
            self._undo()
            if not isinstance(error, StoreError):
                raise
            if code_of(error) in REFUSALS:
                return False
            told = original.error(error)
            if told is error:
                raise
            raise told from error
        return True

    def _copy(self, original: Original) -> None:
        if original.size <= COPY_PART:
            settings = {**self._settings(), "MetadataDirective": "REPLACE"}
            self._write("copy_object", **original.request(), **settings)
            return
        self._begin()
        length = max(COPY_PART, -(-original.size // PARTS))
        starts = range(0, original.size, length)

        def copy_part(start: int) -> dict:
            last = min(start + length, original.size) - 1
            number = start // length + 1
            answer = self._bucket.call(
                "upload_part_copy",
                Key=self._name,
                UploadId=self._upload_id,
                PartNumber=number,
                **original.request(CopySourceRange=f"bytes={start}-{last}"),
            )
            return receipt(number, answer["CopyPartResult"])

        with ThreadPoolExecutor(self._bucket.options.max_concurrency) as threads:
            self._complete(list(threads.map(copy_part, starts)))

    def _unless_taken(self, operation: str, **arguments: Any) -> None:
        if operation == "copy_object":
            # Swift's s3api applies If-None-Match to the original, too, and would always refuse the copy.
            self._bucket.call(operation, Key=self._name, **arguments)
        else:
            super()._unless_taken(operation, **arguments)

    def _check(self, size: int) -> None:
        """Require that the copy has the size of its original."""
        held = (self._head() or {}).get("ContentLength")
        if held != size:
            raise StoreError(self._bucket.store, f"it made a copy of {held} bytes of an image of {size}")
