"""The verbs on images and their metadata. Bytes are the business of `calotype.transfers`.

Each verb is one or two short units of work around what takes long. A status is changed
by a compare-and-swap, so that one of two processes that want the same image gets it. Each unit judges
the caller's right, and the values it sets, against the image that it has locked: see
`calotype.database.rights`. No HTTP here.
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
from calotype.images.downloads import Reading
from calotype.images.imports import Imports, external_store, writable_store
from calotype.images.members import Members
from calotype.images.upkeep import Upkeep
from calotype.images.writing import UNQUEUED, ChangeWriter
from calotype.model import policy
from calotype.model.audit import AuditVerb
from calotype.model.change import Change
from calotype.model.changes import RequestTooLarge, check_tag
from calotype.model.errors import NotAllowed, NotFound, NotQueued, Protected, UnknownStore, no_store
from calotype.model.images import Image, Status
from calotype.model.policy import Caller
from calotype.model.states import ALIVE, NEXT
from calotype.model.uploads import UploadAttempt, new_key
from calotype.stores.catalog import Catalog
from calotype.stores.checked import CheckedStore
from calotype.stores.measured import Expectations
from calotype.transfers.readers import Source


class Lifecycle(Upkeep):
    """The verbs, over one database and one catalog of stores; shared by all threads.

    `members` has those on whom an image is shared with, `reading` those on its bytes, `imports` those
    that jobs carry out.
    """

    def __init__(self, database: Database, stores: Catalog, settings: Settings):
        super().__init__(database, stores, settings)
        self._writer = ChangeWriter(settings)
        self._limits = self._writer.limits
        self.members = Members(database, settings)
        self.reading = Reading(stores, self.copies)
        self.imports = Imports(database, stores, settings, self._transfers)

    def reserve(self, change: Change) -> Image:
        """Make an image that waits for its bytes: queued.

        Raises:
            InvalidRequest, NotAllowed, UnknownStore: the change breaks a rule.
            DuplicateImage: its id is taken.
            LimitReached: the project has as many images as it may.
        """
        self._check(change)
        self._check_store(change)
        return self._reserve(change)

    @retry_on_conflict
    def _reserve(self, change: Change) -> Image:
        with self._database.unit() as unit:
            return self._writer.add(unit, change)

    def upload(self, change: Change, source: Source, *, on_failure: Status = Status.KILLED) -> Image:
        """Take an image's bytes, of a new image or of a queued one: saving, then active.

        `on_failure` is where a failed upload leaves the image: killed, or queued again.

        Raises:
            InvalidRequest, NotAllowed, UnknownStore, DuplicateImage: nothing was recorded.
            LimitReached: the project's quota does not allow it; nothing was recorded.
            NotQueued: the image has bytes already, or is getting them.
            SourceError, StoreError: the upload failed; `status_reason` says why.
            ImageGone: the image was deleted meanwhile; nothing is left.
        """
        self._check(change)
        store = writable_store(self._stores, change.fields.store)
        store.bulkhead.require_room()  # before anything is recorded
        expectations = Expectations(
            length=source.length,
            size=change.size,
            limit=self._settings.image_size_cap,
            digests=dict(change.digests),
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
        """Make an image, or a queued one, active whose bytes lie elsewhere, at the change's `location`.

        `confirm` says again who the caller is, once the source has answered, which may have taken long.

        Raises:
            InvalidRequest, NotAllowed, DuplicateImage, LimitReached: nothing was recorded.
            UnknownStore: the change names another store than the location's; nothing was recorded.
            BadLocation, BlobNotFound, Unavailable: nothing was recorded.
            NotQueued: the image has bytes already.
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
                # A digest that a client declared proves nothing: these bytes were never read.
                values = {"status_reason": None, "size": size, "checksum": None}
                unit.move(image.id, {Status.QUEUED}, Status.ACTIVE, **values)
            except StatusConflict:
                raise NotQueued.of(UNQUEUED, image.status) from None
            unit.add_external(image.id, new_key(image.id), store, location)
            unit.audit(AuditVerb.REGISTER, image.id, change.caller.actor, f"store {store}")
            return unit.image(image.id)

    def update(self, change: Change) -> Image:
        """Change metadata: what the change names, and nothing else.

        Raises:
            InvalidRequest, NotAllowed, UnknownStore: the change breaks a rule.
            Conflict: it declares a format that the image's bytes do not have.
            ImageNotFound: the image was deleted meanwhile, or the caller may not know of it any more.
        """
        self._check(change)
        self._check_store(change)
        return self._update(change)

    @retry_on_conflict
    def _update(self, change: Change) -> Image:
        image = change.require_image()
        # A protected image can be deleted only after this.
        unprotects = image.protected and change.fields.fields.get("protected") is False
        with self._database.unit(frees=unprotects) as unit:
            before = locked_for(unit, image.id, change.caller, policy.UPDATE)
            detail = self._writer.change(unit, change.onto(before))
            unit.audit(AuditVerb.UPDATE, image.id, change.caller.actor, detail)
            return unit.image(image.id)

    @retry_on_conflict
    def add_tag(self, image: Image, tag: str, caller: Caller) -> None:
        """Give an image a tag; it is no error if it has that tag already."""
        check_tag(tag)
        with self._database.unit() as unit:
            tags = {*locked_for(unit, image.id, caller, policy.UPDATE).tags, tag}
            if len(tags) > (most := self._settings.max_tags):
                raise RequestTooLarge(
                    f"The limit has been exceeded on the number of allowed image tags: {most}."
                )
            unit.change(image.id, ALIVE, {})  # the time of change
            unit.set_tags(image.id, tags)
            unit.audit(AuditVerb.TAG, image.id, caller.actor, tag)

    @retry_on_conflict
    def remove_tag(self, image: Image, tag: str, caller: Caller) -> None:
        """Take a tag from an image; raises NotFound if it has no tag of that name."""
        with self._database.unit(frees=True) as unit:
            tags = set(locked_for(unit, image.id, caller, policy.UPDATE).tags)
            if tag not in tags:
                raise NotFound(f"Image {image.id} has no such tag.")
            unit.change(image.id, ALIVE, {})  # the time of change
            unit.set_tags(image.id, tags - {tag})
            unit.audit(AuditVerb.UNTAG, image.id, caller.actor, tag)

    def deactivate(self, image: Image, caller: Caller) -> Image:
        """Withhold an image's bytes from all but administrators; no error if they are withheld already."""
        return self._toggle(image, Status.ACTIVE, Status.DEACTIVATED, caller, AuditVerb.DEACTIVATE)

    def reactivate(self, image: Image, caller: Caller) -> Image:
        """Give an image's bytes out again."""
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
        """Delete an image: the record first, the bytes after; bytes of others are never touched.

        Bytes that cannot be removed now stay marked for removal.

        Raises:
            Protected: the image is protected.
            ImageNotFound: it was deleted meanwhile.
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
            if image.has_jobs:
                unit.hurry_jobs(image.id)  # none of them waits any longer for the sake of this image
            self._transfers.removal.mark(unit, image, staged)
            self._transfers.removal.mark(unit, image, image.locations, self._settings.delete_grace)

    @retry_on_conflict
    def undelete(self, image_id: str, caller: Caller) -> Image:
        """Bring a deleted image back whose bytes are still kept (`delete_grace`), as it was.

        Raises:
            NotAllowed: the caller is no administrator.
            NotFound: there is no such image, or its bytes are gone.
        """
        with self._database.unit() as unit:
            require(caller, policy.OPERATE)
            kept = [one for one in unit.locations(image_id) if one.location and unit.revive_location(one.key)]
            # Without a digest there were only staged bytes, or parts of an import.
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

    def _check(self, change: Change) -> None:
        change.check(self._settings)
        self._database.start_usage(change.owner)

    def _check_store(self, change: Change) -> None:
        """Refuse a named store that could not take the bytes later, unless it is the one that has them."""
        named = change.fields.store
        if named is not None and (change.image is None or change.image.store != named):
            writable_store(self._stores, named)
