"""An upload of a file: what the ways to send it have in common."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import PurePath

from calotype_client.changes import ImageFields
from calotype_client.errors import CalotypeError, Conflict, SettingsError, Unavailable
from calotype_client.formats import inspect
from calotype_client.images import Image
from calotype_client.service import ImageService
from calotype_client.transfers.digests import FileDigest
from calotype_client.transfers.options import TransferOptions
from calotype_client.transfers.pacing import RateLimit
from calotype_client.transfers.progress import Progress
from calotype_client.transfers.sources import SourceFile
from calotype_client.transfers.state import TransferState

#: Bytes by which the digest may be ahead of the connections, so that the disk is read only once.
_AHEAD = 64 << 20
#: Seconds for which a server may take a dead upload for a running one.
_LINGERING = 30.0
#: Connections of an upload over a long line, and the round trip in seconds below which a line is short.
_CONNECTIONS, _SHORT = 4, 0.003
_SUFFIXES = frozenset({"qcow2", "raw", "img", "iso", "vmdk", "vhd", "vhdx", "vdi"})


class Upload:
    """One upload of a file: from where, to where, how, and who listens. Threads share it."""

    def __init__(
        self, service: ImageService, source: SourceFile, options: TransferOptions, progress: Progress
    ):
        self.service = service
        self.source = source
        self.options = options
        self.progress = progress
        self.digest = FileDigest(source.descriptor, source.size, usual_algorithm(service))
        self._rate = RateLimit(options.rate)
        self._lock = threading.Lock()
        self._done = 0
        self.digest.allow(_AHEAD)

    def blocks(self, start: int, end: int) -> Iterator[memoryview]:
        """Yield a range of the file at the permitted rate. A block is overwritten by the next one."""
        for block in self.source.blocks(start, end):
            self._rate.take(len(block))
            yield block

    def advance(self, count: int, *, is_sent: bool = True) -> None:
        """Note that the server has more bytes, or fewer than was thought; not all of them have to be sent."""
        with self._lock:
            self._done += count
            done = self._done
        self.digest.allow(done + _AHEAD)
        (self.progress.advance if is_sent else self.progress.skip)(count)
        if done == self.source.size:
            self.progress.phase("store", "The server checks and stores the image")


def connections_for(upload: Upload) -> int:
    """Return how many connections the upload should have, if the caller has not chosen.

    A server has to read parts that arrive at the same time once more, for the digest of the whole. That costs
    more than several connections gain, unless the line is long.
    """
    if upload.options.connections is not None:
        return upload.options.connections
    return _CONNECTIONS if upload.service.transport.round_trip() > _SHORT else 1


def prepare(source: SourceFile, fields: ImageFields) -> ImageFields:
    """Return the fields with the format of the file, and with a name made of the file's.

    Raises:
        SettingsError: the file is empty, or in a format that no server takes.
    """
    if source.size == 0:
        raise SettingsError(f"{source.path} is empty.")
    found = inspect(source.head(), fields.disk_format, fields.container_format)
    return replace(fields, name=fields.name or name_of(source.path), disk_format=found)


def name_of(path: PurePath) -> str:
    """Return the name of an image that is made of a file: without the suffix of a disk format."""
    return path.stem if path.suffix[1:].lower() in _SUFFIXES else path.name


def usual_algorithm(service: ImageService) -> str:
    """Return the algorithm of digests that the server used last: most servers use one for all images."""
    for image in service.images(limit=1, status="active"):
        if image.hash_algorithm:
            return image.hash_algorithm
    return "sha256"


def settled_status(service: ImageService, image: Image) -> str:
    """Return the image's status, when it is no longer that of an upload whose connection has broken.

    Raises:
        Conflict: the image no longer takes bytes.
        Unavailable: another upload to this image is running.
    """
    end = time.monotonic() + _LINGERING
    while (status := service.show(image).status) == "saving":
        if time.monotonic() > end:
            raise Unavailable(f"The server still waits for the earlier upload of image {image.label}.")
        time.sleep(0.5)
    if status not in ("queued", "active"):
        raise Conflict(f"Image {image.label} is {status}, and no longer takes bytes.")
    return status


def remove(service: ImageService, image: Image | str, only: str | None = None) -> None:
    """Delete an image that was created for an upload which failed; if that fails, too, leave it."""
    try:
        if only is None or service.show(image).status == only:
            service.delete(image)
    except CalotypeError:
        return


def forget_sessions(service: ImageService, state: TransferState) -> None:
    """End the upload sessions that an abandoned upload has left, so that they take no quota."""
    for _, _, path in state.data.pop("parts", ()):
        try:
            service.transport.request("DELETE", str(path), headers={"Tus-Resumable": "1.0.0"})
        except CalotypeError:
            return
