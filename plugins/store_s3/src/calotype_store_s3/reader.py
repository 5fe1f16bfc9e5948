"""Reading an object, over as many connections as it takes, but always the same object."""

from __future__ import annotations

from botocore.exceptions import BotoCoreError
from urllib3.exceptions import HTTPError

from calotype.stores import BlobChanged, StoreError, Unavailable
from calotype_store_s3.bucket import Bucket
from calotype_store_s3.errors import code_of

#: What a body raises when its connection breaks, stalls, or ends early.
BROKEN = (BotoCoreError, HTTPError, OSError)


class ObjectReader:
    """The bytes from `start` on. A broken connection is made again at the next byte, pinned by ETag."""

    def __init__(self, bucket: Bucket, name: str, start: int, length: int | None):
        """Open the object; raises what the contract's `get` does."""
        self._bucket = bucket
        self._name = name
        self._position = start
        self._breaks = 0
        whole = start == 0 and length is None
        last = "" if length is None else start + length - 1
        answer = bucket.call("get_object", Key=name, **({} if whole else {"Range": f"bytes={start}-{last}"}))
        if not whole and answer["ResponseMetadata"]["HTTPStatusCode"] != 206:
            answer["Body"].close()
            raise Unavailable(bucket.store, "it answers a range with the whole object")
        self._body = answer["Body"]
        self._etag = answer.get("ETag")
        self._end = start + answer["ContentLength"]

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes, b"" only at the end.

        Raises:
            BlobChanged: the object was replaced or removed since it was opened.
            Unavailable: the connection broke more often than `retries` allows without a byte between.
        """
        if size is None or size < 0:
            return b"".join(iter(lambda: self.read(1 << 20), b""))
        wanted = min(size, self._end - self._position)
        while wanted:
            try:
                block = self._body.read(wanted)
            except BROKEN as error:
                self._reopen(error)
                continue
            if block:
                self._position += len(block)
                self._breaks = 0
                return block
            self._reopen(None)
        return b""

    def _reopen(self, broken: Exception | None) -> None:
        self._body.close()
        self._breaks += 1
        if self._breaks > self._bucket.options.retries:
            reason = "the connection broke while an image was read"
            raise Unavailable(self._bucket.store, reason) from broken
        pin = {"IfMatch": self._etag} if self._etag else {}
        span = f"bytes={self._position}-{self._end - 1}"
        try:
            answer = self._bucket.call("get_object", Key=self._name, Range=span, **pin)
        except StoreError as error:
            if code_of(error) in ("PreconditionFailed", "412", "NoSuchKey", "404", "InvalidRange", "416"):
                reason = "the object was replaced or removed while it was read"
                raise BlobChanged(self._bucket.store, reason) from error
            raise
        self._body = answer["Body"]
        if answer.get("ETag") != self._etag or answer["ContentLength"] != self._end - self._position:
            self._body.close()
            raise BlobChanged(self._bucket.store, "the object was replaced while it was read")

    def close(self) -> None:
        """Let go of the connection."""
        self._body.close()
