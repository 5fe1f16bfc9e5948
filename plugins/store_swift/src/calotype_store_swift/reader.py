"""A download that survives broken connections."""

from __future__ import annotations

from typing import TYPE_CHECKING

from calotype.stores import BlobChanged, Unavailable
from calotype_store_swift.connections import Connections
from calotype_store_swift.failures import explained, is_failure

if TYPE_CHECKING:
    import swiftclient

#: Bytes read at a time; fewer after a break, for what a broken read had gathered is lost.
BLOCK = 1 << 20
BLOCK_AFTER_BREAK = 64 << 10


class SwiftReader:
    """The bytes of an object from `offset` on, `length` at most.

    When the connection breaks it is opened again at the next byte, pinned to the
    ETag of the first answer. It ends at its announced length or with an error.
    """

    def __init__(
        self,
        store: str,
        connections: Connections,
        container: str,
        name: str,
        offset: int,
        length: int | None,
        retries: int,
    ):
        """Open it. Raises ClientException: Swift's refusal, 416 where the object ends before `offset`."""
        self._store = store
        self._connections = connections
        self._container = container
        self._name = name
        self._position = offset
        self._end = None if length is None else offset + length
        self._retries = retries
        self._broken = 0
        self._block = BLOCK
        self._etag: str | None = None
        connection = connections.take()
        self._connection: swiftclient.Connection | None = connection
        try:
            headers = self._open(connection)
        except BaseException:
            self.close()
            raise
        self._etag = headers.get("etag")
        announced = headers.get("content-length")
        if announced is not None:
            self._end = offset + int(announced)

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes, b"" at the end.

        Raises:
            BlobChanged: the object was replaced meanwhile.
            Unavailable: it broke off, and could not be taken up again.
        """
        if size is None or size < 0:
            return b"".join(iter(lambda: self.read(BLOCK), b""))
        while size and (connection := self._connection) and self._position != self._end:
            block, cause = self._try_read(size)
            if block:
                self._position += len(block)
                self._broken = 0
                if self._position == self._end:
                    self.close()
                return block
            if cause is None and self._end is None:
                break
            self._resume(connection, cause)
        return b""

    def _try_read(self, size: int) -> tuple[bytes, Exception | None]:
        left = size if self._end is None else min(size, self._end - self._position)
        try:
            return self._body.read(min(left, self._block)), None
        except Exception as error:
            if not is_failure(error):
                raise
            return b"", error

    def _resume(self, connection: swiftclient.Connection, cause: Exception | None) -> None:
        self._broken += 1
        if self._broken > self._retries:
            raise Unavailable(self._store, "the connection to it broke off, again and again") from cause
        self._block = BLOCK_AFTER_BREAK
        self._body.close()
        with explained(self._store):
            headers = self._open(connection)
        if headers.get("etag") != self._etag or "content-range" not in headers:
            raise BlobChanged(self._store, "the object was replaced while it was read")

    def _open(self, connection: swiftclient.Connection) -> dict[str, str]:
        last = "" if self._end is None else self._end - 1
        headers = {"Range": f"bytes={self._position}-{last}"}
        if self._etag:
            headers["If-Match"] = self._etag
        answer, self._body = connection.get_object(
            self._container, self._name, resp_chunk_size=BLOCK, headers=headers
        )
        return answer

    def close(self) -> None:
        """Give the connection back; what was not read is dropped."""
        connection, self._connection = self._connection, None
        if connection:
            body = getattr(self, "_body", None)
            if body:
                body.close()
            self._connections.give_back(connection)
