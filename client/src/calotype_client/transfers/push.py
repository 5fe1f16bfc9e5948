"""Send a file or a stream to a server as a new image."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from calotype_client.changes import ImageFields
from calotype_client.errors import CalotypeError, ChecksumMismatch, Conflict, NotFound, Refused
from calotype_client.images import Image
from calotype_client.service import ImageService
from calotype_client.transfers import tus, whole
from calotype_client.transfers.digests import FileDigest, StreamDigest, check_digest
from calotype_client.transfers.options import TransferOptions
from calotype_client.transfers.progress import Progress, Subject
from calotype_client.transfers.segments import segments
from calotype_client.transfers.sources import SourceFile
from calotype_client.transfers.state import TransferState
from calotype_client.transfers.uploads import Upload, forget_sessions, prepare, remove, usual_algorithm
from calotype_client.transport.transport import path_of

#: Statuses by which a server refuses these bytes; None if the client has found the fault.
_REFUSING = (None, 400, 409, 415, 422)


def push(
    service: ImageService, path: Path, fields: ImageFields, options: TransferOptions, progress: Progress
) -> Image:
    """Send a file as a new image, and return the image when the server has verified and stored it.

    If the same call was interrupted before, it goes on with that image.

    Raises:
        Conflict: the file changes meanwhile, or another process sends it.
        ChecksumMismatch: the server has stored other bytes; they are removed.
    """
    with SourceFile(path) as source:
        fields = prepare(source, fields)
        key = (service.transport.endpoint, str(source.path), fields.name or "")
        with TransferState(service.cache, "push", *key) as state:
            image = _begin(service, source, state, fields, resume=options.resume)
            upload = Upload(service, source, options, progress)
            try:
                stored = _transfer(upload, image, state)
            except (Refused, Conflict, ChecksumMismatch) as error:
                if isinstance(error, ChecksumMismatch) or error.status in _REFUSING:
                    forget_sessions(service, state)
                    state.forget()
                    remove(service, image)
                raise
            finally:
                upload.digest.stop()
            state.forget()
            return stored


def _begin(
    service: ImageService, source: SourceFile, state: TransferState, fields: ImageFields, *, resume: bool
) -> Image:
    """Return the image of the interrupted upload, or a new one.

    A queued image without known sessions has no bytes. It is replaced, because it may have a session whose
    creation was interrupted before the answer, and then takes no other upload.
    """
    if resume and state.data.get("file") == source.fingerprint:
        with contextlib.suppress(NotFound):
            image = service.show(state.data["image"])
            if image.status in ("saving", "active") or (image.status == "queued" and "parts" in state.data):
                same = replace(fields, id=None, disk_format=None, container_format=None)
                return service.update(image, same)
    if "image" in state.data:
        forget_sessions(service, state)
        remove(service, state.data["image"], only="queued")
    image = service.create(fields)
    state.data = {}
    state.save(image=image.id, file=source.fingerprint)
    return image


def _transfer(upload: Upload, image: Image, state: TransferState) -> Image:
    """Send the bytes in the best way that the server offers, and return the verified image."""
    upload.progress.begin(Subject.of("push", image), upload.source.size)
    if image.status == "active" or not tus.send(upload, image, state):
        whole.send(upload, image)
    upload.source.check_unchanged()
    upload.progress.phase("verify", f"verify {image.label}")
    stored = upload.service.show(image)
    if stored.status != "active":
        reason = stored.status_reason or "the server gave no reason"
        raise Refused(f"Image {stored.label} is {stored.status}: {reason}.")
    _verify(upload, stored)
    return stored


def _verify(upload: Upload, image: Image) -> None:
    """Compare the server's digest with that of the file; raises ChecksumMismatch."""
    if not (image.hash_algorithm and image.hash_value):
        if image.size != upload.source.size:
            raise ChecksumMismatch(f"The server stored {image.size} bytes of {upload.source.size}.")
        return
    digest = upload.digest
    if image.hash_algorithm != digest.algorithm:
        digest = FileDigest(upload.source.descriptor, upload.source.size, image.hash_algorithm)
    check_digest(image, digest.result())


def plan(path: Path, fields: ImageFields, options: TransferOptions) -> dict[str, object]:
    """Return what `push` would send, without sending it; raises SettingsError."""
    with SourceFile(path) as source:
        found = prepare(source, fields)
        data = sum(each.end - each.start for each in segments(source, 0, source.size) if not each.is_zero)
        return {
            "name": found.name,
            "disk_format": found.disk_format,
            "size": source.size,
            "data": data,
            "store": options.store,
        }


def push_stream(
    service: ImageService, blocks: Iterable[bytes | memoryview], fields: ImageFields, options: TransferOptions
) -> Image:
    """Send a stream of unknown length as a new image, once, and return the image.

    Raises:
        ChecksumMismatch: the server has stored other bytes; they are removed.
    """
    image = service.create(fields)
    digest = StreamDigest(usual_algorithm(service))
    headers = {"X-Image-Meta-Store": options.store} if options.store else {}
    try:
        body = digest.following(blocks)
        service.transport.send("PUT", path_of("images", image.id, "file"), body, headers)
        stored = service.show(image)
        if stored.hash_algorithm == digest.algorithm:
            check_digest(stored, digest.result())
        elif stored.size not in (None, digest.size):
            raise ChecksumMismatch(f"The server stored {stored.size} bytes of {digest.size}.")
    except (CalotypeError, KeyboardInterrupt):
        remove(service, image)
        raise
    return stored
