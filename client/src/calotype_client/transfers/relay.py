"""Copy an image from one server to another, through this machine but not onto its disk."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from calotype_client.changes import ImageFields
from calotype_client.errors import CalotypeError, Unavailable
from calotype_client.images import Image
from calotype_client.service import ImageService
from calotype_client.transfers.digests import StreamDigest, check_digest
from calotype_client.transfers.options import TransferOptions
from calotype_client.transfers.pacing import Patience
from calotype_client.transfers.progress import Progress, Subject
from calotype_client.transfers.pull import check_active, stream
from calotype_client.transfers.uploads import remove, settled_status, usual_algorithm
from calotype_client.transport.transport import path_of

#: Properties that belong to the server that the image comes from.
_LOCAL = ("os_glance_", "owner_specified.")


def fields_of(image: Image) -> ImageFields:
    """Return the fields that a copy of the image has on another server.

    Its visibility is not among them, because a copy should not become public unnoticed.
    """
    document = image.document
    return ImageFields(
        name=image.name,
        disk_format=image.disk_format,
        container_format=image.container_format,
        min_disk=document.get("min_disk") or None,
        min_ram=document.get("min_ram") or None,
        tags=image.tags or None,
        properties={
            name: str(value)
            for name, value in image.properties.items()
            if value is not None and not name.startswith(_LOCAL)
        },
    )


@dataclass(frozen=True, slots=True)
class Source:
    """The image that is copied, and how it is read."""

    service: ImageService
    image: Image
    options: TransferOptions
    progress: Progress


def relay(source: Source, other: ImageService, fields: ImageFields | None = None) -> Image:
    """Copy an image with its fields to another server, and return the copy.

    Raises:
        ChecksumMismatch: the bytes changed on their way; the copy is removed.
    """
    image = source.image
    check_active(image)
    copy = other.create(fields or fields_of(image))
    source.progress.begin(Subject.of("copy", image), image.size)
    try:
        digests = _send(source, other, copy)
        stored = other.show(copy)
        for checked in (image, stored):
            for digest in digests:
                if digest.algorithm == checked.hash_algorithm:
                    check_digest(checked, digest.result())
    except (CalotypeError, KeyboardInterrupt):
        remove(other, copy)  # a stream cannot be resumed, so half a copy is of no use
        raise
    return stored


def _send(source: Source, other: ImageService, copy: Image) -> list[StreamDigest]:
    """Send the bytes, again from the beginning if the connection breaks, and return their digests."""
    algorithms = {source.image.hash_algorithm or "sha256", usual_algorithm(other)}
    patience = Patience(source.progress)
    while True:
        digests = [StreamDigest(algorithm) for algorithm in algorithms]
        blocks: Iterator[bytes | memoryview] = stream(
            source.service, source.image, source.options, source.progress
        )
        for digest in digests:
            blocks = digest.following(blocks)
        try:
            if settled_status(other, copy) != "active":
                other.transport.send("PUT", path_of("images", copy.id, "file"), blocks, {})
            return digests
        except Unavailable as error:
            source.progress.advance(-digests[0].size)
            patience.wait(error)
