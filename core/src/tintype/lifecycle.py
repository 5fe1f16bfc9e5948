"""An image's life: which status follows which, and the verbs that move it on.

                      upload               bytes are there
    reserve -> queued -------> saving ---------------------> active
                  |              | the upload fails             |
                  | register     v                              |
                  |            killed                           |
                  +--------------------------------> active     |
    delete: from any of them -> deleted, for ever <-------------+

Each verb is one or two short units of work around what takes long. A status is
changed by a compare-and-swap, so of two that want the same image one gets it. Where
bytes will lie is written down before the first one moves, under a key that belongs
to this one attempt; they are the image's only once a committed unit says so, and
they are removed only once a committed unit says that they are not. No HTTP here.
"""

from __future__ import annotations

import contextlib
import datetime
import logging
import secrets
from collections.abc import Mapping
from typing import Any

from tintype.draft import Draft, InvalidDraft, check_draft, check_properties, new_id
from tintype.policy import Caller
from tintype.registry import (
    Image,
    ImageNotFound,
    Location,
    Registry,
    RegistryError,
    RegistryUnavailable,
    Status,
    StatusConflict,
    Unit,
)
from tintype.settings import Settings
from tintype.stores.catalog import Catalog
from tintype.stores.checked import CheckedStore, Demands, Received
from tintype.stores.contract import Capability, Reader
from tintype.stores.errors import BlobNotFound, SourceError, StoreError

log = logging.getLogger(__name__)

#: The state table: what each status may become.
NEXT: Mapping[Status, frozenset[Status]] = {
    Status.QUEUED: frozenset({Status.SAVING, Status.ACTIVE, Status.DELETED}),
    Status.SAVING: frozenset({Status.ACTIVE, Status.KILLED, Status.DELETED}),
    Status.ACTIVE: frozenset({Status.DELETED}),
    Status.KILLED: frozenset({Status.DELETED}),
    Status.DELETED: frozenset(),
}
#: Everything that is not deleted: whose metadata may change.
ALIVE = frozenset(Status) - {Status.DELETED}


class UnknownStore(InvalidDraft):
    """The draft names a store that is not there, or none and there is no default."""


class NotQueued(Exception):
    """Bytes or a location came for an image that is not waiting for any."""


class Protected(Exception):
    """The image is protected from being deleted."""


class Vanished(Exception):
    """The image was deleted while its bytes were on their way."""


class NoData(Exception):
    """The image has no bytes to read (yet, or any more)."""


class Lifecycle:
    """The verbs, over one registry and one catalog of stores; shared by all threads."""

    def __init__(self, registry: Registry, stores: Catalog, settings: Settings):
        self._registry = registry
        self._stores = stores
        self._settings = settings

    def reserve(self, draft: Draft, caller: Caller) -> Image:
        """Make an image that waits for its bytes: queued.

        Raises:
            InvalidDraft: the draft breaks a rule.
            DuplicateImage: its id is taken.
        """
        self._check(draft)
        with self._registry.unit() as unit:
            return unit.image(self._add(unit, draft, caller))

    def upload(
        self, draft: Draft, source: Reader, length: int | None, caller: Caller, image: Image | None = None
    ) -> Image:
        """Take an image's bytes, of a new image or of a queued one: saving, then active.

        `length` is the number of bytes the transport announced, None if it did not.

        Raises:
            InvalidDraft, UnknownStore, DuplicateImage: nothing was recorded.
            NotQueued: the image has bytes already, or is getting them.
            SourceError, StoreError: the upload failed; the image is killed, with a reason.
            Vanished: the image was deleted meanwhile; nothing is left.
        """
        self._check(draft, image)
        store = self._store_for(draft)
        demands = self._demands(draft, image, length)
        with self._registry.unit() as unit:
            image_id = self._add_or_change(unit, draft, caller, image)
            key = f"{image_id}.{secrets.token_hex(6)}"
            self._take(unit, image_id, Status.SAVING)
            unit.intend(image_id, key, store.name, store.locate(key))
        try:
            received = store.add(key, source, demands)
        except BaseException as error:
            self._fail(image_id, key, store, error)
            raise
        return self._activate(image_id, key, store, received)

    def register(self, draft: Draft, caller: Caller, image: Image | None = None) -> Image:
        """Make an image, or a queued one, active whose bytes lie elsewhere, at `draft.location`.

        Raises:
            InvalidDraft, DuplicateImage: nothing was recorded.
            BadLocation, BlobNotFound, Unavailable: nothing was recorded.
            NotQueued: the image has bytes already.
        """
        self._check(draft, image)
        store = self._stores.external(draft.location or "")
        stored = store.register(draft.location or "")
        size = stored.size if stored.size is not None else draft.size
        if None not in (stored.size, draft.size) and stored.size != draft.size:
            raise NotQueued(
                f"Provided image size must match the stored image size: "
                f"provided {draft.size}, stored {stored.size}."
            )
        with self._registry.unit() as unit:
            image_id = self._add_or_change(unit, draft, caller, image)
            self._take(unit, image_id, Status.ACTIVE, size=size)
            unit.refer(image_id, f"{image_id}.{secrets.token_hex(6)}", store.name, stored.location)
            return unit.image(image_id)

    def update(self, image: Image, draft: Draft) -> Image:
        """Change metadata: the fields and properties that the draft names, and no others.

        Raises:
            InvalidDraft: the draft breaks a rule.
            ImageNotFound: the image was deleted meanwhile.
        """
        self._check(draft, image)
        with self._registry.unit() as unit:
            self._change(unit, draft, image)
            return unit.image(image.id)

    def delete(self, image: Image) -> None:
        """Delete an image: the record first, the bytes after; bytes of others are never touched.

        Bytes that cannot be removed now stay written down as doomed.

        Raises:
            Protected: the image is protected.
            ImageNotFound: it was deleted meanwhile.
        """
        with self._registry.unit() as unit:
            image = unit.image(image.id)
            if image.protected:
                raise Protected(f"Image {image.id} is protected and cannot be deleted.")
            now = datetime.datetime.now(datetime.UTC)
            self._move(unit, image.id, Status.DELETED, deleted_at=now)
            for location in image.locations:
                if location.external:
                    unit.forget_location(location.key)
                else:
                    unit.doom_location(location.key)
        for location in image.locations:
            if not location.external:
                self._remove(location)

    def open(self, image: Image, offset: int = 0, length: int | None = None) -> Reader:
        """Open an image's bytes: `length` of them from `offset`, or all from there on.

        Raises:
            NoData: the image is not active.
            BlobNotFound, BlobChanged, Unavailable: its store fails it.
        """
        location = image.location
        if image.status is not Status.ACTIVE or location is None:
            raise NoData(f"Image {image.id} is not active: it has no data to read.")
        if location.store not in self._stores:
            raise StoreError(location.store, "it is not configured on this server")
        store = self._stores[location.store]
        return store.get(location.location or "", offset, length, size=image.size)

    # -- what a draft must pass before anything is recorded

    def _check(self, draft: Draft, image: Image | None = None) -> None:
        check_draft(draft, self._settings)
        kept = image.properties if image is not None else {}
        check_properties({**kept, **draft.properties}, self._settings)

    def _store_for(self, draft: Draft) -> CheckedStore:
        name = draft.store or self._stores.default
        if name is None or name not in self._stores:
            raise UnknownStore(
                f"Requested store {name or '(none, and there is no default)'} "
                f"not available for storage on this Glance node"
            )
        store = self._stores[name]
        if not store.can(Capability.WRITE):
            raise UnknownStore(f"Requested store {name} not available for storage: it takes no uploads")
        return store

    def _demands(self, draft: Draft, image: Image | None, length: int | None) -> Demands:
        reserved = image.size if image is not None else None
        return Demands(
            length=length,
            size=draft.size if draft.size is not None else reserved or None,
            limit=self._settings.image_size_cap,
            digests=dict(draft.digests),
        )

    # -- parts of a unit of work

    def _add_or_change(self, unit: Unit, draft: Draft, caller: Caller, image: Image | None) -> str:
        if image is None:
            return self._add(unit, draft, caller)
        self._change(unit, draft, image)
        return image.id

    def _add(self, unit: Unit, draft: Draft, caller: Caller) -> str:
        image_id = draft.id or new_id()
        fields = {"owner": caller.project, **draft.fields}
        unit.add_image(image_id, {**fields, "size": draft.size}, draft.properties)
        return image_id

    def _change(self, unit: Unit, draft: Draft, image: Image) -> None:
        try:
            unit.change(image.id, ALIVE, draft.fields)
        except StatusConflict:
            raise ImageNotFound(image.id) from None
        unit.set_properties(image.id, draft.properties, keep_others=True)

    def _take(self, unit: Unit, image_id: str, to: Status, **values: Any) -> None:
        """Move a queued image on, or say that it is not queued."""
        try:
            unit.move(image_id, {Status.QUEUED}, to, **values)
        except StatusConflict:
            raise NotQueued("Cannot upload to an unqueued image") from None

    def _move(self, unit: Unit, image_id: str, to: Status, **values: Any) -> None:
        unit.move(image_id, {status for status, after in NEXT.items() if to in after}, to, **values)

    # -- how an upload ends

    def _activate(self, image_id: str, key: str, store: CheckedStore, received: Received) -> Image:
        try:
            with self._registry.unit() as unit:
                self._move(
                    unit,
                    image_id,
                    Status.ACTIVE,
                    size=received.size,
                    checksum=received.digests.get("md5"),
                    os_hash_algo="sha256",
                    os_hash_value=received.digests["sha256"],
                )
                unit.keep_location(key, received.location)
                return unit.image(image_id)
        except StatusConflict:
            self._doom(key)
            self._discard(key, store)
            raise Vanished(f"Image {image_id} could not be found after upload: it was deleted.") from None
        except RegistryUnavailable as error:
            # The commit may have happened all the same: only the registry can tell.
            image = self._registry.find(image_id)
            if image is not None and any(location.key == key for location in image.locations):
                return image
            self._fail(image_id, key, store, error)
            raise

    def _fail(self, image_id: str, key: str, store: CheckedStore, error: BaseException) -> None:
        """Kill the image and remove what the attempt left; never hides the error that led here."""
        try:
            with self._registry.unit() as unit:
                with contextlib.suppress(StatusConflict):  # deleted meanwhile: it stays so
                    unit.move(image_id, {Status.SAVING}, Status.KILLED, status_reason=_reason(error))
                unit.doom_location(key)
        except RegistryError:
            log.exception("image %s: could not be killed; its intent stays written down", image_id)
        else:
            self._discard(key, store)

    def _doom(self, key: str) -> None:
        with self._registry.unit() as unit:
            unit.doom_location(key)

    def _discard(self, key: str, store: CheckedStore) -> None:
        try:
            store.discard(key)
        except StoreError:
            log.exception("store '%s': could not remove what an upload left", store.name)
        else:
            self._forget(key)

    def _remove(self, location: Location) -> None:
        """Remove doomed bytes; what fails stays doomed, and is tried again by whoever sweeps."""
        if location.store not in self._stores:
            log.error(
                "store '%s' is not configured here: bytes of a deleted image stay in it", location.store
            )
            return
        try:
            with contextlib.suppress(BlobNotFound):
                self._stores[location.store].delete(location.location or "")
        except StoreError:
            log.exception("store '%s': could not remove a deleted image's bytes", location.store)
        else:
            self._forget(location.key)

    def _forget(self, key: str) -> None:
        try:
            with self._registry.unit() as unit:
                unit.forget_location(key)
        except RegistryError:
            log.exception("a removed blob stays written down as doomed")


def _reason(error: BaseException) -> str:
    """What a person may read of a failure: sentences written for them, and nothing from inside."""
    if isinstance(error, (SourceError, StoreError, RegistryError)):
        return str(error)
    return f"The upload was broken off by {type(error).__name__}."
