"""A download that survives broken connections."""

from __future__ import annotations

from calotype.stores import BlobChanged, Reader
from calotype.stores.toolkit import ResumingReader
from calotype_store_swift.account import Account


class SwiftReader(ResumingReader):
    """A reader of at most `length` bytes from `offset`. All requests use the first answer's ETag."""

    def __init__(self, account: Account, container: str, name: str, offset: int, length: int | None):
        """Open the object; raises what `Store.get` raises, with status 416 if it ends before `offset`."""
        self._account = account
        self._container = container
        self._name = name
        self._first: dict[str, str] | None = None
        self.broken = account.broken
        end = None if length is None else offset + length
        super().__init__(account.store, offset, end, account.options.retries)

    def open(self) -> Reader:
        # Without Range, swiftclient would resume by itself, and would not notice a replaced object.
        headers = {"Range": f"bytes={self.position}-{'' if self.end is None else self.end - 1}"}
        first = self._first
        if first and first.get("etag"):
            headers["If-Match"] = first["etag"]
        body = self._account.open(self._container, self._name, headers)
        if first is None:
            self._first = body.headers
            if "content-length" in body.headers:
                self.end = self.position + int(body.headers["content-length"])
        elif body.headers.get("etag") != first.get("etag") or "content-range" not in body.headers:
            body.close()
            raise BlobChanged(self.store, "the object was replaced while it was read")
        return body
