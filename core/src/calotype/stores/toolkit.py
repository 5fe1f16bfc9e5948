"""Parts of a driver that many drivers need: keys in locations, downloads that resume, uploads in parts.

Everything here is public, for authors of drivers; docs/writing-a-store.md shows how to use it.
"""

from __future__ import annotations

import abc
import io
import logging
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from calotype.stores.contract import KEY
from calotype.stores.errors import BadLocation, StoreError, TooLarge, Unavailable
from calotype.stores.values import Reader

log = logging.getLogger(__name__)

Receipt = TypeVar("Receipt")

#: Size of reads from a source, in bytes.
BLOCK = 512 << 10
#: Size of reads from a backend, in bytes, before and after the first broken connection. Later reads are
#: smaller, because a read loses all the bytes it has gathered if the connection breaks.
READ, READ_AFTER_BREAK = 1 << 20, 64 << 10


def key_of(store: str, location: str, scheme: str) -> str:
    """Return the key of a location that consists of the scheme and a key, such as `s3:KEY`.

    Raises:
        BadLocation: the location has another form.
    """
    key = location.removeprefix(scheme)
    if not location.startswith(scheme) or not KEY.fullmatch(key):
        raise BadLocation(store, "not a location of this store")
    return key


def retry_after(value: str | None) -> int:
    """Return a Retry-After header's seconds, limited to 1 to 3600; 30 if it is missing or a date."""
    return min(max(int(value), 1), 3600) if value and re.fullmatch("[0-9]{1,9}", value, re.ASCII) else 30


class ResumingReader(abc.ABC):
    """A reader that opens its blob again after a broken connection, and continues at the next byte.

    A subclass implements `open`. It must compare each opened object with the first one, by an ETag or a
    similar validator, and raise BlobChanged if they differ.
    """

    #: Exceptions of `open` or of a body's `read` after which another try is worthwhile.
    broken: tuple[type[Exception], ...] = (OSError,)
    #: If true, each successful read restores the number of retries. If false, `retries` limits the whole
    #: download.
    restores_retries = True
    #: Seconds before the first retry; doubled for each further one.
    pause = 0.0

    def __init__(self, store: str, position: int, end: int | None, retries: int):
        """Open the blob at `position`; raises what the contract's `get` raises.

        `end` is the position after the last byte to read, None if it is unknown; `open` may set it.
        """
        self.store = store
        self.position = position
        self.end = end
        #: Maximum number of further attempts to open the blob. A subclass sets 0 if it cannot notice
        #: another object.
        self.retries = retries
        self._failures = 0
        self._block = READ
        self._body: Reader | None = self.open()

    @abc.abstractmethod
    def open(self) -> Reader:
        """Open the blob so that the next byte is the one at `self.position`.

        Raises:
            BlobChanged: the object was replaced since it was first opened.
            StoreError: see the contract's `get`.
        """

    def failure(self, error: Exception | None) -> StoreError:
        """Return the error for a download that cannot be continued.

        `error` is the last failure, or None if the bytes ended before `end`."""
        return Unavailable(self.store, "the connection broke while an image was read")

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes, b"" only at the end.

        Raises:
            BlobChanged: the object was replaced or removed since it was opened.
            StoreError: the connection broke, and no retry helped.
        """
        if size is None or size < 0:
            return b"".join(iter(lambda: self.read(READ), b""))
        left = size if self.end is None else min(size, self.end - self.position)
        while left > 0:
            try:
                self._body = self._body or self.open()
                block = self._body.read(min(left, self._block))
            except self.broken as error:
                self._wait_after(error)
                continue
            if block:
                self.position += len(block)
                self._block = min(2 * self._block, READ)
                if self.restores_retries:
                    self._failures = 0
                return block
            if self.end is None:
                break
            self._wait_after(None)
        return b""

    def close(self) -> None:
        """Close the connection. Later reads return no bytes. May be called twice."""
        self.end = self.position
        self._drop()

    def _drop(self) -> None:
        body, self._body = self._body, None
        if body is not None:
            body.close()

    def _wait_after(self, error: Exception | None) -> None:
        self._drop()
        if self._failures >= self.retries:
            raise self.failure(error) from error
        log.warning("store '%s': a download broke off at byte %d; trying again", self.store, self.position)
        time.sleep(self.pause * 2**self._failures)
        self._failures += 1
        self._block = READ_AFTER_BREAK


@dataclass(eq=False)
class Part:
    """Consecutive bytes of a source, in memory or in a file.

    `last` is true if the source ended with these bytes.
    """

    data: bytearray | io.BufferedRandom
    size: int
    last: bool

    @property
    def in_memory(self) -> bool:
        """True if the bytes are in memory, False if they are in a file."""
        return isinstance(self.data, bytearray)


@dataclass(frozen=True, slots=True)
class PartLimits:
    """Limits on the parts of an upload that are held and sent at the same time.

    `threads` is the maximum number of parts sent at a time. `memory` is the maximum number of bytes held in
    memory, but one part is always allowed. With `spool`, parts are written to files in `folder` (None: the
    system's folder for temporary files) if two of them do not fit into `memory`.
    """

    threads: int
    memory: int
    #: The option that an operator must raise if an image has too many parts.
    option: str = "part_size"
    spool: bool = False
    folder: Path | None = None


class PartReader:
    """A source, cut into parts. It reads one block ahead, so that it recognizes the last part."""

    def __init__(self, store: str, source: Reader, sizes: Iterator[int], limits: PartLimits):
        """`sizes` are the sizes of the parts in bytes; there can be no more parts than sizes."""
        self._store = store
        self._source = source
        self._sizes = sizes
        self._limits = limits
        self._cut = 0
        self._ahead = b""
        self._spare: list[bytearray] = []
        self._files: set[io.BufferedRandom] = set()

    def next(self, room: Callable[[int], object] = lambda size: None) -> Part:
        """Return the next part. Exceptions of the source pass through.

        Args:
            room: Called with the number of bytes that the part will take in memory, before it is read.

        Raises:
            TooLarge: the source has bytes left, but the maximum number of parts is reached.
        """
        size = next(self._sizes, None)
        if size is None:
            raise TooLarge(
                self._store, f"the image has more than {self._cut} parts (set {self._limits.option})"
            )
        self._cut += 1
        limits = self._limits
        if limits.spool and limits.memory < 2 * size:
            room(0)
            return self._on_disk(size)
        room(size)
        return self._in_memory(size)

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes after the parts, as they arrive; b"" at the end."""
        if self._ahead:
            block, self._ahead = self._ahead[:size], self._ahead[size:]
            return block
        return self._source.read(min(size, BLOCK))

    def release(self, part: Part) -> None:
        """Close a part's file, or reuse its memory, because new pages cost as much as a copy."""
        if isinstance(part.data, bytearray):
            self._spare.append(part.data)
        else:
            self._files.discard(part.data)
            part.data.close()

    def close(self) -> None:
        """Close the files of parts that were not released."""
        for file in self._files:
            file.close()

    def send(self, first: Part, send: Callable[[int, Part], Receipt]) -> list[Receipt]:
        """Send a part and all after it, several at a time, and return the receipts in the parts' order.

        The callback `send` runs in other threads. It gets the part's number, counted from 1, and the part.
        If a part fails, waiting parts are not sent, and all threads have ended before the error is raised.
        """
        limits = self._limits
        sent: list[Future[Receipt]] = []
        held: dict[Future[Receipt], int] = {}

        def make_room(size: int) -> None:
            while held and (len(held) > limits.threads or sum(held.values()) + size > limits.memory):
                for done in wait(held, return_when=FIRST_COMPLETED).done:
                    del held[done]
                    done.result()

        def work(number: int, part: Part) -> Receipt:
            try:
                return send(number, part)
            finally:
                self.release(part)

        threads = ThreadPoolExecutor(limits.threads, thread_name_prefix=f"parts-{self._store}")
        try:
            part = first
            while True:
                future = threads.submit(work, len(sent) + 1, part)
                sent.append(future)
                held[future] = part.size if part.in_memory else 0
                if part.last:
                    return [one.result() for one in sent]
                part = self.next(make_room)
        finally:
            threads.shutdown(cancel_futures=True)

    def _in_memory(self, size: int) -> Part:
        data, filled = self._buffer(size), 0
        for block in self._blocks(size):
            data[filled : filled + len(block)] = block
            filled += len(block)
        del data[filled:]
        return Part(data, filled, last=not self._ahead)

    def _on_disk(self, size: int) -> Part:
        file = tempfile.TemporaryFile(dir=self._limits.folder)  # noqa: SIM115 - released with the part
        self._files.add(file)
        for block in self._blocks(size):
            file.write(block)
        written = file.tell()
        file.seek(0)
        return Part(file, written, last=not self._ahead)

    def _blocks(self, size: int) -> Iterator[bytes]:
        """Yield the blocks of the next `size` bytes, and then read ahead."""
        while size and (block := self.read(size)):
            size -= len(block)
            yield block
        self._ahead = self._ahead or self._source.read(BLOCK)

    def _buffer(self, size: int) -> bytearray:
        while self._spare:
            data = self._spare.pop()
            if len(data) == size:
                return data
        return bytearray(size)
