"""The verbs on images and their metadata. `calotype.transfers` moves the bytes.

Each verb is one or two short units of work, and bytes move only between them. A status changes by
compare-and-swap, so if two processes compete for an image, only one succeeds. Each unit of work checks the
caller's right, and the values that it sets, against the image that it has locked: see
`calotype.database.rights`.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import replace

from calotype.config.messages import quoted
from calotype.config.settings import Settings
from calotype.database.database import Database
from calotype.database.errors import StatusConflict
from calotype.database.retry import retry_on_conflict
from calotype.database.rights import locked_for, require
from calotype.events.feed import Feed
from calotype.images.downloads import Reading
from calotype.images.imports import Imports, external_store, writable_store
from calotype.images.members import Members
from calotype.images.sessions import Sessions
from calotype.images.upkeep import Upkeep
from calotype.images.writing import UNQUEUED, ChangeWriter
from calotype.model import policy
from calotype.model.audit import AuditVerb
from calotype.model.change import Change
from calotype.model.errors import NotAllowed, NotFound, NotQueued, Protected, UnknownStore, no_store
from calotype.model.fields import RequestTooLarge, check_size, check_tag
from calotype.model.images import Image
from calotype.model.policy import Caller
from calotype.model.states import ALIVE, NEXT, Status
from calotype.model.uploads import UploadAttempt, new_key
from calotype.stores.catalog import Catalog
from calotype.stores.checked import CheckedStore
from calotype.stores.measured import Expectations
from calotype.transfers.readers import Source
from calotype.transfers.sweeper import Swept


class Lifecycle(Upkeep):
    """The verbs on images, for one database and one catalog of stores. All threads share an instance.

    `members` shares images, `reading` reads bytes, `imports` stages and imports bytes, `sessions` takes bytes
    in chunks, and `feed` passes events on to listeners.
    """

    def __init__(self, database: Database, stores: Catalog, settings: Settings):
        super().__init__(database, stores, settings)
        self._writer = ChangeWriter(settings)
        self._limits = self._writer.limits
        self.members = Members(database, settings)
        self.reading = Reading(stores, self.copies)
        self.feed = Feed(database, settings.listeners_per_caller)
        self.imports = Imports(database, stores, settings, self._transfers)
        self.sessions = Sessions(database, stores, settings, self._transfers)

    @retry_on_conflict
    def reserve(self, change: Change) -> Image:
        """Create a queued image, which waits for its bytes.

        Raises:
            InvalidRequest, NotAllowed, UnknownStore: the change breaks a rule.
            DuplicateImage: the image's id is taken.
            LimitReached: the project has the maximum number of images.
        """
        self._check(change)
        self._check_store(change)
        with self._database.unit() as unit:
            return self._writer.add(unit, change)

    def upload(self, change: Change, source: Source, *, on_failure: Status = Status.KILLED) -> Image:
        """Store the bytes of a new or queued image, which becomes saving and then active.

        `on_failure` is the status after a failed upload: killed, or queued again.

        Raises:
            InvalidRequest, NotAllowed, UnknownStore: the change breaks a rule; nothing was recorded.
            RequestTooLarge: the source announces more bytes than allowed; nothing was recorded.
            DuplicateImage: the image's id is taken; nothing was recorded.
            LimitReached: the project's quota does not allow the upload; nothing was recorded.
            NotQueued: the image already has bytes, or an upload to it is running.
            OpenSession: the image has an open upload session.
            SourceError, StoreError: the upload failed; `status_reason` says why.
            ImageGone: the image was deleted meanwhile; no bytes are left.
        """
        self._check(change)
        check_size(source.length, self._settings)
        store = writable_store(self._stores, change.fields.store)
        store.bulkhead.require_room()  # refuse before anything is recorded
        expectations = Expectations(
            length=source.length,
            size=change.size,
            limit=self._settings.image_size_cap,
            digests={**change.digests, **source.digests},
        )
        attempt = self._begin(change, store, source.length, on_failure)
        return self._transfers.run(attempt, source, expectations)

    @retry_on_conflict
    def _begin(
        self, change: Change, store: CheckedStore, length: int | None, on_failure: Status
    ) -> UploadAttempt:
        with self._database.unit() as unit:
            image = self._writer.take(unit, change, Status.SAVING)
            key, caller = new_key(image.id), change.caller
            attempt = UploadAttempt(image, key, store.name, length, on_failure, caller=caller)
            return self._transfers.begin(unit, attempt)

    def register(self, change: Change, *, confirm: Callable[[], Caller] | None = None) -> Image:
        """Make a new or queued image active with the bytes at the change's external `location`.

        `confirm` identifies the caller again after the source has answered, because the source may be slow.
        If an error is raised, nothing was recorded.

        Raises:
            InvalidRequest, NotAllowed, DuplicateImage, LimitReached: the change breaks a rule or a limit.
            UnknownStore: the change names another store than the one that reads the location.
            BadLocation, BlobNotFound, Unavailable: the location is invalid, or its source has no bytes.
            NotQueued: the image already has bytes.
            OpenSession: the image has an open upload session.
        """
        self._check(change)
        uri = change.fields.location or ""
        store = external_store(self._stores, self._settings, change.caller, uri)
        if (named := change.fields.store) not in (None, store.name):
            raise UnknownStore(
                f"The location belongs to store {quoted(store.name)}, not to store {quoted(named)}."
                if named in self._stores
                else no_store(named, [store.name])
            )
        stored = store.register(uri)
        size = change.agreed_size(stored.size)
        caller = change.caller if confirm is None else confirm()
        return self._register(replace(change, caller=caller), store.name, stored.location, size)

    @retry_on_conflict
    def _register(self, change: Change, store: str, location: str, size: int | None) -> Image:
        with self._database.unit() as unit:
            image = self._writer.write(unit, change)
            try:
                # The service has not read these bytes, so a digest that the client declared is not stored.
                values = {"status_reason": None, "size": size, "checksum": None}
                unit.move(image.id, {Status.QUEUED}, Status.ACTIVE, **values)
            except StatusConflict:
                raise NotQueued.of(UNQUEUED, image.status) from None
            unit.add_external(image.id, new_key(image.id), store, location)
            unit.audit(AuditVerb.REGISTER, image.id, change.caller.actor, f"store {store}")
            return unit.image(image.id)

    @retry_on_conflict
    def update(self, change: Change) -> Image:
        """Change the metadata that the change names, and nothing else.

        Raises:
            InvalidRequest, NotAllowed, UnknownStore: the change breaks a rule.
            Conflict: the change declares a format that contradicts the image's bytes.
            ImageNotFound: the image was deleted meanwhile, or the caller may not see it any more.
        """
        self._check(change)
        self._check_store(change)
        image = change.require_image()
        # A change that lifts the protection allows a delete, so it may use the reserve of a full disk.
        unprotects = image.protected and change.fields.fields.get("protected") is False
        with self._database.unit(frees=unprotects) as unit:
            before = locked_for(unit, image.id, change.caller, policy.UPDATE)
            detail = self._writer.change(unit, change.onto(before))
            if change.owner != before.owner:
                self.sessions.end_of_image(unit, image.id, "The image was given to another project.")
            unit.audit(AuditVerb.UPDATE, image.id, change.caller.actor, detail)
            return unit.image(image.id)

    @retry_on_conflict
    def add_tag(self, image: Image, tag: str, caller: Caller) -> None:
        """Add a tag to an image. It is not an error if the image already has the tag."""
        check_tag(tag)
        with self._database.unit() as unit:
            tags = {*locked_for(unit, image.id, caller, policy.UPDATE).tags, tag}
            if len(tags) > (most := self._settings.max_tags):
                raise RequestTooLarge(
                    f"The limit has been exceeded on the number of allowed image tags: {most}."
                )
            unit.change(image.id, ALIVE, {})  # sets the time of change
            unit.set_tags(image.id, tags)
            unit.audit(AuditVerb.TAG, image.id, caller.actor, tag)

    @retry_on_conflict
    def remove_tag(self, image: Image, tag: str, caller: Caller) -> None:
        """Remove a tag from an image. Raise NotFound if the image does not have the tag."""
        with self._database.unit(frees=True) as unit:
            tags = set(locked_for(unit, image.id, caller, policy.UPDATE).tags)
            if tag not in tags:
                raise NotFound(f"Image {image.id} has no such tag.")
            unit.change(image.id, ALIVE, {})  # sets the time of change
            unit.set_tags(image.id, tags - {tag})
            unit.audit(AuditVerb.UNTAG, image.id, caller.actor, tag)

    def deactivate(self, image: Image, caller: Caller) -> Image:
        """Let only administrators read an image's bytes. Do nothing if the image is deactivated already."""
        return self._toggle(image, Status.ACTIVE, Status.DEACTIVATED, caller, AuditVerb.DEACTIVATE)

    def reactivate(self, image: Image, caller: Caller) -> Image:
        """End the deactivation of an image. Do nothing if the image is active already."""
        return self._toggle(image, Status.DEACTIVATED, Status.ACTIVE, caller, AuditVerb.REACTIVATE)

    @retry_on_conflict
    def _toggle(self, image: Image, before: Status, after: Status, caller: Caller, verb: AuditVerb) -> Image:
        with self._database.unit() as unit:
            current = locked_for(unit, image.id, caller, policy.DEACTIVATE)
            if current.status is not after:
                try:
                    unit.move(image.id, {before}, after)
                except StatusConflict:
                    raise NotAllowed(f"An image that is {current.status} cannot become {after}.") from None
                unit.audit(verb, image.id, caller.actor)
            return unit.image(image.id)

    @retry_on_conflict
    def delete(self, image: Image, caller: Caller) -> None:
        """Delete an image: first the record, then its bytes, but never bytes at an external location.

        If bytes cannot be removed now, they stay pending delete.

        Raises:
            Protected: the image is protected.
            ImageNotFound: the image was deleted meanwhile.
        """
        with self._database.unit(frees=True) as unit:
            image = locked_for(unit, image.id, caller, policy.DELETE)
            if image.protected:
                raise Protected(
                    f"Image {image.id} is protected and cannot be deleted. Set protected to false first."
                )
            staged = unit.staged(image.id)
            now = datetime.datetime.now(datetime.UTC)
            before = {status for status, after in NEXT.items() if Status.DELETED in after}
            unit.move(image.id, before, Status.DELETED, deleted_at=now, deleted_from=image.status)
            unit.audit(AuditVerb.DELETE, image.id, caller.actor, f"was {image.status}")
            unit.count(image.owner, self._limits, images=-1)
            self.sessions.end_of_image(unit, image.id, "The image was deleted.")
            if image.has_jobs:
                unit.hurry_jobs(image.id)  # the jobs end now, instead of waiting for a retry
            self._transfers.removal.mark(unit, image, staged)
            self._transfers.removal.mark(unit, image, image.locations, self._settings.delete_grace)

    @retry_on_conflict
    def undelete(self, image_id: str, caller: Caller) -> Image:
        """Restore a deleted image within the grace period of its bytes (`delete_grace`).

        Raises:
            NotAllowed: the caller is not an administrator.
            NotFound: there is no deleted image with this id, or its bytes have been removed.
        """
        with self._database.unit() as unit:
            require(caller, policy.OPERATE)
            kept = [one for one in unit.locations(image_id) if one.location and unit.revive_location(one.key)]
            # An image without a digest had only staged bytes, or parts of an import.
            before = unit.any_image(image_id) if kept else None
            if before is None or before.os_hash_value is None or before.deleted_from is None:
                raise NotFound(f"There is no deleted image {image_id} whose bytes are kept.")
            unit.move(image_id, {Status.DELETED}, before.deleted_from, deleted_at=None, deleted_from=None)
            image = unit.image(image_id)
            unit.count(image.owner, self._limits, images=1)
            for location in kept:
                unit.count_location(location.key, image.owner, self._limits, image.size or 0)
            unit.audit(AuditVerb.UNDELETE, image_id, caller.actor, f"is {image.status}")
            return image

    def work(self) -> bool:
        """Do one job or finish one upload session that no process works on; return whether one was found."""
        return super().work() or self.sessions.upkeep.finish_next()

    def sweep(self, *, once: bool = False) -> Swept:
        """Sweep as `Upkeep.sweep` does, and end expired upload sessions."""
        swept = super().sweep(once=once)
        return replace(swept, full=self.sessions.upkeep.sweep() or swept.full)

    def _check(self, change: Change) -> None:
        change.check(self._settings)
        self._database.start_usage(change.owner)

    def _check_store(self, change: Change) -> None:
        """Raise UnknownStore if the named store cannot take uploads, unless it already has the bytes."""
        named = change.fields.store
        if named is not None and (change.image is None or change.image.store != named):
            writable_store(self._stores, named)
