"""The reader of an object, which resumes over new connections, but never with a replaced object."""

from __future__ import annotations

from botocore.exceptions import BotoCoreError
from urllib3.exceptions import HTTPError

from calotype.stores import BlobChanged, Reader, StoreError, Unavailable
from calotype.stores.toolkit import ResumingReader
from calotype_store_s3.bucket import Bucket
from calotype_store_s3.errors import code_of

#: Error codes for a conditional request whose object was replaced or removed.
CHANGED = {"PreconditionFailed", "412", "NoSuchKey", "404", "InvalidRange", "416"}


class ObjectReader(ResumingReader):
    """A reader of at most `length` bytes from `start`. All requests use the first answer's ETag."""

    broken = (BotoCoreError, HTTPError, OSError)

    def __init__(self, bucket: Bucket, name: str, start: int, length: int | None):
        """Open the object; raises what the contract's `get` raises."""
        self._bucket = bucket
        self._name = name
        self._first: dict | None = None
        self._is_whole = start == 0 and length is None
        end = None if length is None else start + length
        super().__init__(bucket.store, start, end, bucket.options.retries)

    def open(self) -> Reader:
        if self._first is None:
            return self._open_first()
        pin = {"IfMatch": self._first["ETag"]} if "ETag" in self._first else {}
        try:
            answer = self._get(**pin)
        except StoreError as error:
            if code_of(error) in CHANGED:
                reason = "the object was replaced or removed while it was read"
                raise BlobChanged(self.store, reason) from error
            raise
        expected = None if self.end is None else self.end - self.position
        if answer.get("ETag") != self._first.get("ETag") or answer["ContentLength"] != expected:
            answer["Body"].close()
            raise BlobChanged(self.store, "the object was replaced while it was read")
        return answer["Body"]

    def _open_first(self) -> Reader:
        answer = self._get()
        if not self._is_whole and answer["ResponseMetadata"]["HTTPStatusCode"] != 206:
            answer["Body"].close()
            raise Unavailable(self.store, "it answers a range request with the whole object")
        self._first = answer
        self.end = self.position + answer["ContentLength"]
        return answer["Body"]

    def _get(self, **pin: str) -> dict:
        if self._first is None and self._is_whole:
            return self._bucket.call("get_object", Key=self._name)
        last = "" if self.end is None else self.end - 1
        return self._bucket.call("get_object", Key=self._name, Range=f"bytes={self.position}-{last}", **pin)
