"""The Python API: the requests of Images v2, transfers, and waiting, in one object for one server."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from calotype_client.changes import ImageFields
from calotype_client.images import Image
from calotype_client.service import ImageService
from calotype_client.transfers import pull, push, relay
from calotype_client.transfers.options import TransferOptions
from calotype_client.transfers.progress import SILENT, Progress
from calotype_client.waiting import Event, events, wait

_DEFAULTS, _NO_FIELDS = TransferOptions(), ImageFields()


class Client(ImageService):
    """A client of one server: everything of `ImageService`, and transfers of bytes.

    with Client.connect() as client:
        image = client.push("debian-12.qcow2", ImageFields(tags=("debian",)))
        client.pull(image, "copy.qcow2")
    """

    def push(
        self,
        path: Path | str,
        fields: ImageFields = _NO_FIELDS,
        options: TransferOptions = _DEFAULTS,
        progress: Progress = SILENT,
    ) -> Image:
        """Send a file as a new image, and return the image when the server has verified and stored it.

        Without a name in `fields`, the image gets the file's; without a format, the one that the file shows.
        If the same call was interrupted before, it goes on with that image.

        Raises:
            SettingsError: the file cannot be read, or is in a format that no server takes.
            Conflict: the file changes meanwhile, or another process sends it.
            ChecksumMismatch: the server has stored other bytes; they are removed.
        """
        return push.push(self, Path(path), fields, options, progress)

    def push_stream(
        self,
        blocks: Iterable[bytes | memoryview],
        fields: ImageFields = _NO_FIELDS,
        options: TransferOptions = _DEFAULTS,
    ) -> Image:
        """Send a stream of unknown length as a new image, and return the image. It cannot be resumed."""
        return push.push_stream(self, blocks, fields, options)

    def pull(
        self,
        image: Image,
        path: Path | str,
        options: TransferOptions = _DEFAULTS,
        progress: Progress = SILENT,
    ) -> Path:
        """Fetch an image into a file, which appears only when it is complete and verified.

        If the same call was interrupted before, it goes on where it stopped.

        Raises:
            Conflict: the image has no bytes, the file exists, or another process fetches it.
            OutOfSpace: the local disk is full; what has been fetched is kept.
            ChecksumMismatch: the bytes are not those that the image should have; they are removed.
        """
        return pull.pull(self, image, Path(path), options, progress)

    def stream(
        self, image: Image, options: TransferOptions = _DEFAULTS, progress: Progress = SILENT
    ) -> Iterator[bytes]:
        """Yield the bytes of an image in order, unverified. After a broken connection it goes on."""
        return pull.stream(self, image, options, progress)

    def copy_to(
        self,
        image: Image,
        other: Client,
        options: TransferOptions = _DEFAULTS,
        progress: Progress = SILENT,
    ) -> Image:
        """Copy an image with its fields to another server, without a temporary file, and return the copy.

        Raises:
            ChecksumMismatch: the bytes changed on their way; the copy is removed.
        """
        return relay.relay(relay.Source(self, image, options, progress), other)

    def wait(self, image: Image, status: str = "active", timeout: float | None = None) -> Image:
        """Return the image when it has the status.

        Raises:
            Refused: the image can no longer get the status; the message says why.
            Unavailable: it has not got the status after `timeout` seconds.
        """
        return wait(self, image, status, timeout)

    def events(self, after: str | None = None) -> Iterator[Event]:
        """Yield what happens to the images that the caller may see, from after the event with this id.

        Raises:
            NotSupported: the server does not report events.
        """
        return events(self, after)
