"""Fetch the bytes of an image into a file, over several connections, or as a stream."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import urllib3

from calotype_client.errors import ChecksumMismatch, Conflict, ProtocolError, SettingsError, Unavailable
from calotype_client.images import Image
from calotype_client.service import ImageService
from calotype_client.transfers.digests import FileDigest, check_digest
from calotype_client.transfers.options import TransferOptions
from calotype_client.transfers.pacing import Patience, RateLimit
from calotype_client.transfers.partfile import PartFile
from calotype_client.transfers.progress import Progress, Subject
from calotype_client.transfers.ranges import Range, RangeSet
from calotype_client.transfers.state import TransferState
from calotype_client.transfers.workers import Workers
from calotype_client.transport.transport import BLOCK, path_of

_CONNECTIONS = 4
#: Most bytes of one request if there are several connections, and the seconds between two saved states.
_RUN, _SAVED = 32 << 20, 1.0
#: Zeros up to this number are fetched, too, because another request would cost more.
_GAP = 128 << 10


def pull(
    service: ImageService, image: Image, path: Path, options: TransferOptions, progress: Progress
) -> Path:
    """Fetch an image into a file, which appears under its name only when it is complete and verified.

    If the same call was interrupted before, it goes on where it stopped.

    Raises:
        Conflict: the image has no bytes, the file exists, or another process fetches it.
        OutOfSpace: the local disk is full; what has been fetched is kept.
        ChecksumMismatch: the bytes are not those that the image should have; they are removed.
    """
    path = path.absolute()
    check_active(image)
    if path.is_dir():
        raise SettingsError(f"{path} is a folder.", advice="Name the file.")
    if path.exists() and not options.replace:
        raise Conflict(f"{path} exists.", advice="Choose another name, or use --replace.")
    with TransferState(service.cache, "pull", str(path), image.id) as state:
        with PartFile(path, image.id) as part:
            missing = _missing(service, image, part, state, resume=options.resume)
            download = Download(service, image, part, options, progress)
            try:
                download.run(state, missing)
            except ChecksumMismatch:
                state.forget()
                part.remove()
                raise
            part.rename(path)
        state.forget()
    return path


def check_active(image: Image) -> None:
    """Raise Conflict if the image has no bytes that can be read."""
    if image.status != "active":
        raise Conflict(
            f"Image {image.label} is {image.status}, so its bytes cannot be read.",
            advice="`calotype wait` waits until it is active." if image.status != "deactivated" else None,
        )


def _missing(
    service: ImageService, image: Image, part: PartFile, state: TransferState, *, resume: bool
) -> RangeSet:
    """Return the ranges to fetch: what an interrupted download left, or all without the zeros."""
    size = image.size or 0
    identity = [image.id, size, image.hash_value]
    if resume and state.data.get("image") == identity and part.size == size:
        missing = RangeSet(state.data["missing"])
    else:
        missing = RangeSet([(0, size)])
        for start, length in service.zeros(image):
            if length > _GAP:
                missing.remove(start, start + length)
        part.empty()
        state.save(image=identity, missing=[*missing])
    part.prepare(size, missing.total)
    return missing


class Download:
    """A download by several connections, each of which fetches one range after the other."""

    def __init__(
        self,
        service: ImageService,
        image: Image,
        part: PartFile,
        options: TransferOptions,
        progress: Progress,
    ):
        self._transport = service.transport
        self._image = image
        self._size = image.size or 0
        self._part = part
        self._connections = options.connections or _CONNECTIONS
        self._progress = progress
        self._rate = RateLimit(options.rate)
        self._lock = threading.Lock()
        self._saved_at = time.monotonic()
        self._workers = Workers()

    def run(self, state: TransferState, missing: RangeSet) -> None:
        """Fetch what is missing, and verify the whole; raises CalotypeError."""
        self._state, self._missing, self._unclaimed = state, missing, RangeSet(missing)
        self._progress.begin(Subject.of("pull", self._image), self._image.size)
        self._progress.skip(self._size - missing.total)
        algorithm = self._image.hash_algorithm or "sha256"
        self._digest = FileDigest(self._part.descriptor, self._size, algorithm)
        try:
            self._fetch_all()
            self._progress.phase("verify", f"verify {self._image.label}")
            check_digest(self._image, self._digest.result())
        finally:
            self._digest.stop()

    def _fetch_all(self) -> None:
        """Run the connections, and save what is missing whatever happens."""
        self._digest.allow(self._front())
        count = min(self._connections, -(-self._missing.total // _RUN))
        try:
            self._workers.run(self._work for _ in range(count))
        except _NoRanges:
            self._workers, self._connections = Workers(), 1
            with self._lock:
                self._progress.skip(self._missing.total - self._size)
                self._missing = RangeSet([(0, self._size)])
                self._unclaimed = RangeSet(self._missing)
            self._workers.run([self._work])
        finally:
            self._save()

    def _work(self) -> None:
        patience = Patience(self._progress)
        while (run := self._claim()) is not None:
            while run.length:
                try:
                    self._fetch(run, patience)
                    break
                except Unavailable as error:
                    run = self._rest(run)
                    patience.wait(error)

    def _claim(self) -> Range | None:
        """Return the next range to fetch, or None if there is nothing to do."""
        with self._lock:
            most = _RUN if self._connections > 1 else self._size
            return None if self._workers.stopped else self._unclaimed.take(most)

    def _rest(self, run: Range) -> Range:
        """Return the part of a range that has not arrived."""
        with self._lock:
            starts = [each.start for each in self._missing if each.end > run.start and each.start < run.end]
        return Range(max(run.start, starts[0]), run.end) if starts else Range(run.end, run.end)

    def _fetch(self, run: Range, patience: Patience) -> None:
        """Fetch a range; raises Unavailable if the connection breaks."""
        position = run.start
        is_whole = run == (0, self._size)
        headers = {} if is_whole else {"Range": f"bytes={run.start}-{run.end - 1}"}
        with self._transport.receive(path_of("images", self._image.id, "file"), headers) as response:
            _check_response(response, run, is_whole=is_whole)
            while position < run.end and not self._workers.stopped:
                block = self._transport.read_block(response, min(BLOCK, run.end - position))
                if not block:
                    raise Unavailable("The server ended the image too early.")
                self._rate.take(len(block))
                self._part.write(block, position)
                self._note(position, position + len(block))
                position += len(block)
                patience.reset()

    def _note(self, start: int, end: int) -> None:
        """Note that a range has been written."""
        with self._lock:
            self._missing.remove(start, end)
            front = self._front()
        self._digest.allow(front)
        self._progress.advance(end - start)
        if time.monotonic() - self._saved_at > _SAVED:
            self._save()

    def _front(self) -> int:
        """Return the position up to which all bytes are there."""
        first = self._missing.first
        return self._size if first is None else first

    def _save(self) -> None:
        with self._lock:
            self._saved_at = time.monotonic()
            self._state.save(missing=[*self._missing])


class _NoRanges(Exception):
    """The server sends images only as a whole."""


def _check_response(response: urllib3.HTTPResponse, run: Range, *, is_whole: bool) -> None:
    """Check that the response has the bytes that were asked for.

    Raises:
        _NoRanges: the server ignores ranges.
        ProtocolError: it sends something else.
    """
    if response.status == 200:
        if not is_whole:
            raise _NoRanges
        return
    expected = f"bytes {run.start}-{run.end - 1}/"
    if response.status != 206 or not response.headers.get("Content-Range", "").startswith(expected):
        raise ProtocolError("The server did not send the bytes of the image that were asked for.")


def stream(
    service: ImageService, image: Image, options: TransferOptions, progress: Progress
) -> Iterator[bytes]:
    """Yield the bytes of an image in order. After a broken connection it goes on where it stopped."""
    check_active(image)
    rate, patience, position = RateLimit(options.rate), Patience(progress), 0
    path = path_of("images", image.id, "file")
    while True:
        try:
            headers = {"Range": f"bytes={position}-"} if position else {}
            with service.transport.receive(path, headers) as response:
                if position and response.status != 206:
                    raise Conflict("The connection broke, and this server cannot continue a download.")
                while block := service.transport.read_block(response):
                    rate.take(len(block))
                    yield block
                    position += len(block)
                    progress.advance(len(block))
                    patience.reset()
            if image.size is None or position >= image.size:
                return
            raise Unavailable("The server ended the image too early.")
        except Unavailable as error:
            patience.wait(error)
