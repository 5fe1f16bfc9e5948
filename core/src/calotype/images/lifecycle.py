"""The verbs on images and their metadata. Bytes are the business of `calotype.transfers.transfers`.

Each verb is one or two short units of work around what takes long. A status is changed
by a compare-and-swap, so of two that want the same image one gets it. Each unit judges
the caller's right, and the values it sets, against the image that it has locked: see
`calotype.database.rights`. No HTTP here.
"""

from __future__ import annotations

import datetime
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from calotype.config.settings import Settings
from calotype.database.database import Database
from calotype.database.errors import StatusConflict
from calotype.database.retry import retry_on_conflict
from calotype.database.rights import locked_for, require, require_fields
from calotype.database.unit_of_work import Unit
from calotype.images.audit import describe, forget_old
from calotype.images.downloads import Reading
from calotype.images.members import Members
from calotype.model import policy
from calotype.model.audit import Actor, AuditVerb
from calotype.model.changes import (
    ImageFields,
    InvalidRequest,
    RequestTooLarge,
    check_fields,
    check_formats,
    check_tag,
    new_id,
    properties_after,
)
from calotype.model.errors import Conflict, NotAllowed, NotFound, NotQueued, Protected
from calotype.model.findings import FindingKind
from calotype.model.images import Image, Status
from calotype.model.jobs import JobKind
from calotype.model.policy import Caller
from calotype.model.states import ALIVE, NEXT
from calotype.model.usage import Limits
from calotype.stores.catalog import Catalog
from calotype.stores.checked import CheckedStore
from calotype.stores.contract import Capability, Reader
from calotype.stores.errors import StoreError
from calotype.stores.measured import Expectations
from calotype.transfers.copies import Copies
from calotype.transfers.imports import Imports, external_store, job_spec, writable_store, writable_target
from calotype.transfers.jobs import Jobs, JobSpec, add_job
from calotype.transfers.leases import Leases
from calotype.transfers.readers import redeclared
from calotype.transfers.scrubbing import Rechecked, Scrubber, look_twice
from calotype.transfers.transfers import Swept, Transfers, UploadAttempt, new_key

#: The beginning is a sentence of the first API server, by which clients know the error.
UNQUEUED = "Cannot upload to an unqueued image"
_FORMATS = ("disk_format", "container_format")


class Lifecycle:
    """The verbs, over one database and one catalog of stores; shared by all threads.

    `members` has those on whom an image is shared with, `reading` those on its bytes, `copies`
    those on copies that are bad.
    """

    def __init__(self, database: Database, stores: Catalog, settings: Settings):
        self._database = database
        self._stores = stores
        self._settings = settings
        self._limits = Limits(settings.project_bytes, settings.project_images)
        self.members = Members(database, settings)
        self.copies = Copies(database, stores)
        self.reading = Reading(stores, self.copies)
        self._leases = Leases(database, settings.lease)
        self._transfers = Transfers(database, stores, settings, self._leases, self.copies)
        self._jobs = Jobs(database, stores, settings, self._leases, self._transfers)
        self.imports = Imports(database, stores, settings, self._transfers)

    def renewal(self) -> Callable[[], bool]:
        """Return what renews leases; the caller runs it three times in each `lease` seconds."""
        self._leases.renewed_outside()
        return self._leases.renew

    def close(self) -> None:
        """Renew no lease any more."""
        self._leases.close()

    @retry_on_conflict
    def reserve(self, draft: ImageFields, caller: Caller) -> Image:
        """Make an image that waits for its bytes: queued.

        Raises:
            InvalidRequest, NotAllowed: the draft breaks a rule.
            DuplicateImage: its id is taken.
            LimitReached: the project has as many images as it may.
        """
        self._check(draft, caller)
        with self._database.unit() as unit:
            return unit.image(self._add(unit, draft, caller))

    def upload(
        self,
        draft: ImageFields,
        source: Reader,
        length: int | None,
        caller: Caller,
        image: Image | None = None,
        *,
        on_failure: Status = Status.KILLED,
    ) -> Image:
        """Take an image's bytes, of a new image or of a queued one: saving, then active.

        `length` is the number of bytes the transport announced, None if it did not.
        `on_failure` is where a failed upload leaves the image: killed, or queued again.

        Raises:
            InvalidRequest, NotAllowed, UnknownStore, DuplicateImage: nothing was recorded.
            LimitReached: the project's quota does not allow it; nothing was recorded.
            NotQueued: the image has bytes already, or is getting them.
            SourceError, StoreError: the upload failed; `status_reason` says why.
            ImageGone: the image was deleted meanwhile; nothing is left.
        """
        self._check(draft, caller, image)
        store = writable_store(self._stores, draft.store)
        store.bulkhead.require_room()  # before anything is recorded
        demands = self._demands(draft, image, length)
        attempt = self._begin(draft, caller, image, store, length, on_failure)
        return self._transfers.run(attempt, source, demands)

    @retry_on_conflict
    def _begin(
        self,
        draft: ImageFields,
        caller: Caller,
        image: Image | None,
        store: CheckedStore,
        length: int | None,
        on_failure: Status,
    ) -> UploadAttempt:
        with self._database.unit() as unit:
            image_id = self._add_or_change(unit, draft, caller, image)
            saving = self._take(unit, image_id, Status.SAVING)
            return self._transfers.begin(unit, saving, store, length, on_failure, caller=caller)

    @retry_on_conflict
    def register(
        self,
        draft: ImageFields,
        caller: Caller,
        image: Image | None = None,
        *,
        confirm: Callable[[], Caller] | None = None,
    ) -> Image:
        """Make an image, or a queued one, active whose bytes lie elsewhere, at `draft.location`.

        `confirm` says again who the caller is, once the source has answered, which may have taken long.

        Raises:
            InvalidRequest, NotAllowed, DuplicateImage, LimitReached: nothing was recorded.
            BadLocation, BlobNotFound, Unavailable: nothing was recorded.
            NotQueued: the image has bytes already.
        """
        self._check(draft, caller, image)
        store = external_store(self._stores, self._settings, caller, draft.location or "")
        stored = store.register(draft.location or "")
        size = _agreed_size(draft, image, stored.size)
        caller = caller if confirm is None else confirm()
        with self._database.unit() as unit:
            image_id = self._add_or_change(unit, draft, caller, image)
            # A digest that a client declared is nobody's knowledge: these bytes were never read.
            self._take(unit, image_id, Status.ACTIVE, size=size, checksum=None)
            unit.add_external(image_id, new_key(image_id), store.name, stored.location)
            unit.audit(AuditVerb.REGISTER, image_id, caller.actor, f"store {store.name}")
            return unit.image(image_id)

    @retry_on_conflict
    def fetch(
        self,
        draft: ImageFields,
        caller: Caller,
        request_id: str,
        image: Image | None = None,
        *,
        stores: tuple[str, ...] = (),
        strict: bool = True,
        on_failure: Status = Status.KILLED,
    ) -> Image:
        """Have the bytes at `draft.location` fetched into our own stores, by a job.

        The image is queued until the job begins. `stores` are where the bytes go (none: the
        draft's store, or the default one); with `strict` one store's failure is that of all.

        Whether bytes are there, and whether they have the size that was declared, is for the job to see.

        Raises:
            InvalidRequest, UnknownStore, DuplicateImage, LimitReached, BadLocation: nothing was recorded.
            NotQueued: the image has bytes already, or is being given some.
        """
        self._check(draft, caller, image)
        uri = draft.location or ""
        source = external_store(self._stores, self._settings, caller, uri)
        targets = tuple(writable_store(self._stores, name).name for name in stores or (draft.store,))
        size = _agreed_size(draft, image, None)
        if size is not None and size > self._settings.image_size_cap:
            raise RequestTooLarge(
                f"Denying attempt to upload image larger than {self._settings.image_size_cap} bytes."
            )
        order = job_spec(source, uri, targets, self._settings, strict=strict, on_failure=on_failure)
        with self._database.unit() as unit:
            image_id = self._add_or_change(unit, replace(draft, size=size), caller, image)
            queued = unit.image(image_id)
            at_work = unit.has_open_job(image_id)
            if queued.status is not Status.QUEUED or at_work:
                raise NotQueued.of(UNQUEUED, queued.status, at_work=at_work)
            add_job(unit, JobKind.FETCH, queued, order, request_id, caller)
            return queued

    @retry_on_conflict
    def import_new(
        self,
        draft: ImageFields,
        source_format: str,
        asked: Mapping[str, Any],
        caller: Caller,
        request_id: str,
    ) -> str:
        """Make an image of the bytes at `draft.location`, by a job, whose id is returned.

        `source_format` is what the bytes are said to be: they are kept as they come. `asked` is
        what the job tells of it. A job that fails leaves the image queued.

        Raises:
            InvalidRequest, NotAllowed, UnknownStore, DuplicateImage, LimitReached, BadLocation:
                nothing was recorded.
        """
        if draft.fields.get("disk_format") not in (None, source_format):
            raise InvalidRequest("Nothing is converted here: the image's disk format is that of its source.")
        draft = replace(draft, fields={**draft.fields, "disk_format": source_format})
        self._check(draft, caller)
        check_formats(draft)
        uri = draft.location or ""
        source = external_store(self._stores, self._settings, caller, uri)
        target = writable_store(self._stores, draft.store)
        order = replace(job_spec(source, uri, (target.name,), self._settings), asked=asked)
        with self._database.unit() as unit:
            require(caller, policy.OPERATE)
            importing = self._take(unit, self._add(unit, draft, caller), Status.IMPORTING)
            return add_job(unit, JobKind.FETCH, importing, order, request_id, caller)

    @retry_on_conflict
    def copy(
        self,
        image: Image,
        stores: tuple[str, ...],
        caller: Caller,
        request_id: str,
        *,
        strict: bool = True,
        skip_held: bool = False,
    ) -> None:
        """Have an active image's bytes copied into more stores (none: the default one), by a job.

        `skip_held`: stores that have them already are passed over; otherwise they are an error.

        Raises:
            InvalidRequest: one of them has the bytes already.
            UnknownTarget: one of them is not there, or takes no uploads.
            NotQueued: the image is not active, or is being copied already.
        """
        targets = [writable_target(self._stores, name).name for name in stores or (None,)]
        with self._database.unit() as unit:
            current = locked_for(unit, image.id, caller, policy.OPERATE)
            at_work = unit.has_open_job(image.id)
            if current.status is not Status.ACTIVE or at_work:
                busy = ", and an import or a copy of it is under way: wait for its end" if at_work else ""
                raise NotQueued(
                    "Only an active image that nothing else is done with can be copied. "
                    f"This image is {current.status}{busy}."
                )
            held = {location.store for location in current.locations}
            if not skip_held and held & set(targets):
                raise InvalidRequest(f"The image is in store {sorted(held & set(targets))[0]} already.")
            order = JobSpec(stores=tuple(name for name in targets if name not in held), strict=strict)
            if order.stores:
                add_job(unit, JobKind.COPY, current, order, request_id, caller)

    @retry_on_conflict
    def remove_from_store(self, image: Image, store: str, caller: Caller) -> None:
        """Take an image's bytes out of one of its stores, but never its last ones.

        Raises:
            NotQueued: the image is not active.
            NotFound: the store does not hold the image.
            NotAllowed: it is the only one that does.
        """
        with self._database.unit(frees=True) as unit:
            current = locked_for(unit, image.id, caller, policy.OPERATE)
            if current.status is not Status.ACTIVE:
                raise NotQueued(
                    f"Only an active image can be taken out of a store. This image is {current.status}."
                )
            there = [location for location in current.locations if location.store == store]
            if not there:
                raise NotFound(f"Image {image.id} is not in store {store}.")
            left = [location for location in current.locations if location.store != store]
            if not left:
                raise NotAllowed(
                    f"Store {store} holds the only bytes of image {image.id}. "
                    "Copy them into another store first, or delete the image."
                )
            if all(one.quarantined for one in left) and not all(one.quarantined for one in there):
                raise NotAllowed(f"Store {store} holds the only undamaged bytes of image {image.id}.")
            unit.audit(AuditVerb.REMOVE_COPY, image.id, caller.actor, f"store {store}")
            doomed = self._transfers.mark_for_removal(unit, current, there)
        for location in doomed:
            self._transfers.remove(location)

    def scrubbers(self, ending: threading.Event, *, only: str | None = None) -> list[Scrubber]:
        """Return a scrubber for each store that is scrubbed, or for one of them; `ending` ends them."""
        settings = self._settings
        return [
            Scrubber(
                self._database,
                store,
                settings.scrub_period,
                store.scrub_rate or settings.scrub_rate,
                self._leases,
                self._transfers,
                self.copies,
                ending,
            )
            for store in self._stores
            if store.scrub
            and only in (None, store.name)
            and (store.scrub_rate or settings.scrub_rate)
            and Capability.WRITE in store.driver.capabilities  # others hold no bytes but somebody else's
        ]

    @retry_on_conflict
    def resume_scrub(self, store: str) -> bool:
        """Let the scrubber go on where it stopped, with bad copies first; return whether it had stopped."""
        with self._database.unit() as unit:
            if not unit.scrubs.resume(store):
                return False
            unit.scrubs.make_quarantined_due(store)
            unit.close_findings(store, FindingKind.SCRUB_STOPPED, store)
            return True

    def recheck(self, image_id: str, actor: Actor) -> list[Rechecked]:
        """Read all copies of an image now, because somebody asks, and quarantine each or take it out.

        Raises:
            StoreError: a store is away or cannot read its copy; that copy is as before.
        """
        checked = []
        for copy in self._database.scrubs.copies(image_id):
            if copy.store not in self._stores:
                raise StoreError(copy.store, "it is not configured on this server")
            fault = look_twice(self._stores[copy.store], copy, self.copies, lambda count: None)
            if fault is None:
                self.copies.keep(copy, actor)
            else:
                self.copies.quarantine(copy, fault, actor)
            checked.append(Rechecked(copy, fault))
        return checked

    def work(self) -> bool:
        """Do the oldest job that nobody does; whether there was one."""
        return self._jobs.run_next()

    @retry_on_conflict
    def update(
        self, image: Image, draft: ImageFields | Callable[[Image], ImageFields], caller: Caller
    ) -> Image:
        """Change metadata: what the draft names, and nothing else.

        Where a draft depends on the image, it is given as a function of it, which is called again if
        the image has changed by the time it is locked.

        Raises:
            InvalidRequest, NotAllowed: the draft breaks a rule.
            Conflict: the draft declares a format that the image's bytes do not have.
            ImageNotFound: the image was deleted meanwhile, or the caller may not know of it any more.
        """
        asked = draft(image) if callable(draft) else draft
        self._check(asked, caller, image)
        # A protected image can be deleted only after this.
        unprotects = image.protected and asked.fields.get("protected") is False
        with self._database.unit(frees=unprotects) as unit:
            before = locked_for(unit, image.id, caller, policy.UPDATE)
            if callable(draft) and before != image:
                asked = draft(before)
            told = self._change(unit, asked, caller, before)
            unit.audit(AuditVerb.UPDATE, image.id, caller.actor, told)
            return unit.image(image.id)

    @retry_on_conflict
    def add_tag(self, image: Image, tag: str, caller: Caller) -> None:
        """Give an image a tag; having it already is no error."""
        check_tag(tag)
        with self._database.unit() as unit:
            tags = {*locked_for(unit, image.id, caller, policy.UPDATE).tags, tag}
            if len(tags) > self._settings.max_tags:
                raise RequestTooLarge(
                    "The limit has been exceeded on the number of allowed image tags: "
                    f"{self._settings.max_tags}."
                )
            unit.change(image.id, ALIVE, {})
            unit.set_tags(image.id, tags)
            unit.audit(AuditVerb.TAG, image.id, caller.actor, tag)

    @retry_on_conflict
    def remove_tag(self, image: Image, tag: str, caller: Caller) -> None:
        """Take a tag from an image; raises NotFound when it has none of that name."""
        with self._database.unit(frees=True) as unit:
            tags = set(locked_for(unit, image.id, caller, policy.UPDATE).tags)
            if tag not in tags:
                raise NotFound(f"Image {image.id} has no such tag.")
            unit.change(image.id, ALIVE, {})
            unit.set_tags(image.id, tags - {tag})
            unit.audit(AuditVerb.UNTAG, image.id, caller.actor, tag)

    def deactivate(self, image: Image, caller: Caller) -> Image:
        """Withhold an image's bytes from all but admins; being so already is no error."""
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

        Bytes that cannot be removed now stay written down as doomed.

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
            now = datetime.datetime.now(datetime.UTC)
            self._move(unit, image.id, Status.DELETED, deleted_at=now, deleted_from=image.status)
            unit.audit(AuditVerb.DELETE, image.id, caller.actor, f"was {image.status}")
            unit.count(image.owner, self._limits, images=-1)
            if image.has_jobs:
                unit.hurry_jobs(image.id)  # none of them waits any longer for the sake of this image
            doomed = self._transfers.mark_for_removal(unit, image, unit.staged(image.id))
            kept = self._transfers.mark_for_removal(unit, image, image.locations, self._settings.delete_grace)
        for location in doomed if self._settings.delete_grace else [*doomed, *kept]:
            self._transfers.remove(location)

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

    def sweep(self, *, once: bool = False) -> Swept:
        """End what died half way, anywhere, and remove what is doomed, and audit records that are too old.

        See `Transfers.sweep`.
        """
        swept = self._transfers.sweep(once=once)
        return replace(swept, full=forget_old(self._database, self._settings.audit_retention) or swept.full)

    # -- what a draft must pass before anything is recorded

    def _check(self, draft: ImageFields, caller: Caller, image: Image | None = None) -> None:
        check_fields(draft, self._settings)
        require_fields(draft, caller, image, self._settings)
        self._database.start_usage(draft.fields.get("owner", caller.project))

    def _demands(self, draft: ImageFields, image: Image | None, length: int | None) -> Expectations:
        reserved = image.size if image is not None else None
        return Expectations(
            length=length,
            size=draft.size if draft.size is not None else reserved or None,
            limit=self._settings.image_size_cap,
            digests=_declared(draft, image),
        )

    # -- parts of a unit of work

    def _add_or_change(self, unit: Unit, draft: ImageFields, caller: Caller, image: Image | None) -> str:
        if image is None:
            return self._add(unit, draft, caller)
        told = self._change(unit, draft, caller, locked_for(unit, image.id, caller, policy.UPLOAD))
        if told:
            unit.audit(AuditVerb.UPDATE, image.id, caller.actor, told)
        return image.id

    def _add(self, unit: Unit, draft: ImageFields, caller: Caller) -> str:
        require(caller, policy.CREATE)
        image_id = draft.id or new_id()
        fields = {"owner": caller.project, **draft.fields}
        unit.count(fields["owner"], self._limits, images=1)
        declared = {"size": draft.size, "checksum": draft.digests.get("md5")}
        properties = properties_after(draft, None)
        unit.add_image(image_id, {**fields, **declared}, properties)
        if draft.tags:
            unit.set_tags(image_id, draft.tags)
        unit.audit(AuditVerb.CREATE, image_id, caller.actor, describe(draft, {}, properties))
        return image_id

    def _change(self, unit: Unit, draft: ImageFields, caller: Caller, before: Image) -> str:
        """Make the image what the draft says; return what the audit trail says of that."""
        require_fields(draft, caller, before, self._settings)
        self._check_redeclared(draft, before)
        unit.change(before.id, ALIVE, draft.fields)
        properties = properties_after(draft, before)
        unit.set_properties(before.id, properties, keep_others=False)
        if draft.tags is not None:
            unit.set_tags(before.id, draft.tags)
        owner = draft.fields.get("owner", before.owner)
        if owner != before.owner:
            counted = sum(location.counted for location in unit.locations(before.id))
            unit.count(before.owner, self._limits, images=-1, size=-counted)
            unit.count(owner, self._limits, images=1, size=counted)
        return describe(draft, before.properties, properties)

    def _check_redeclared(self, draft: ImageFields, before: Image) -> None:
        """Refuse a format that the image's bytes, which have been inspected, do not have."""
        formats = {name: draft.fields[name] for name in _FORMATS if name in draft.fields}
        problem = redeclared(before, replace(before, **formats), before.detected_format)
        if problem is not None and self._settings.inspection == "enforce":
            raise Conflict(problem)

    def _take(self, unit: Unit, image_id: str, to: Status, **values: Any) -> Image:
        """Move a queued image on, or say that it is not queued."""
        try:
            unit.move(image_id, {Status.QUEUED}, to, status_reason=None, **values)
        except StatusConflict:
            raise NotQueued.of(UNQUEUED, unit.image(image_id).status) from None
        return unit.image(image_id)

    def _move(self, unit: Unit, image_id: str, to: Status, **values: Any) -> None:
        unit.move(image_id, {status for status, after in NEXT.items() if to in after}, to, **values)


def _agreed_size(draft: ImageFields, image: Image | None, stored: int | None) -> int | None:
    """The size in bytes of what lies elsewhere, as its store tells it, or else as it was declared.

    Raises:
        Conflict: both tell one, and not the same.
    """
    declared = draft.size or (image.size if image is not None else None) or None
    if None not in (stored, declared) and stored != declared:
        raise Conflict(
            f"Provided image size must match the stored image size: provided {declared}, stored {stored}."
        )
    return stored if stored is not None else declared


def _declared(draft: ImageFields, image: Image | None) -> dict[str, str]:
    """The digests that the bytes must have: what the draft declares, or else the reservation did."""
    reserved = {"md5": image.checksum} if image is not None and image.checksum else {}
    return {**reserved, **draft.digests}
