"""Imports: bytes that a client stages, that lie elsewhere or in another store become an image's by a job.

An image that is being imported stays so until all its stores have the bytes, or, where
that was not asked for, until every store was tried. One that cannot be imported is
queued again, with nothing of it left anywhere.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from calotype.config.messages import quoted
from calotype.config.settings import Settings
from calotype.database.database import Database
from calotype.database.errors import StatusConflict
from calotype.database.retry import retry_on_conflict
from calotype.database.rights import locked_for, require
from calotype.database.unit_of_work import Unit
from calotype.images.writing import UNQUEUED, ChangeWriter
from calotype.model import policy
from calotype.model.audit import AuditVerb
from calotype.model.change import Change
from calotype.model.changes import InvalidRequest, RequestTooLarge, check_formats
from calotype.model.errors import NotAllowed, NotFound, NotQueued, UnknownStore, UnknownTarget, no_store
from calotype.model.images import Image, Status
from calotype.model.jobs import JobKind
from calotype.model.policy import Caller
from calotype.model.uploads import UploadAttempt, new_key
from calotype.stores.catalog import Catalog
from calotype.stores.checked import CheckedStore
from calotype.stores.contract import Capability
from calotype.stores.errors import BadLocation
from calotype.stores.measured import Expectations
from calotype.transfers.job_spec import JobSpec, add_job
from calotype.transfers.readers import Source
from calotype.transfers.transfers import Transfers

#: Characters of a URI that is imported. Signed URLs have some 1,800 of them.
URI_MAX = 8000


class Origin(enum.Enum):
    """Where an import's bytes come from."""

    STAGED = enum.auto()  #: a client staged them
    URI = enum.auto()  #: they lie at the URI that the change names as the location
    COPY = enum.auto()  #: the active image has them, in other stores


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """A client's request for an import.

    `stores` get the bytes; none: the default one. `strict`: one store that fails fails the whole import.
    `on_failure` is the status that a failed import leaves the image in. `waits`: the image stays queued until
    the job begins. `asked` is the request that the image is made for, to be shown again. `skip_held`: stores
    that have the bytes of the image are passed over instead of refused.
    """

    origin: Origin
    stores: tuple[str, ...] = ()
    strict: bool = True
    on_failure: Status = Status.QUEUED
    waits: bool = False
    asked: Mapping[str, Any] | None = None
    skip_held: bool = False


@dataclass(frozen=True, slots=True)
class Submitted:
    """An image, and the job that was written down for it; None: there was nothing to do."""

    image: Image
    job_id: str | None


class Imports:
    """Staging and importing, over one database and one catalog; shared by all threads."""

    def __init__(self, database: Database, stores: Catalog, settings: Settings, transfers: Transfers):
        self._database = database
        self._stores = stores
        self._settings = settings
        self._transfers = transfers
        self._writer = ChangeWriter(settings)

    def stage(self, change: Change, source: Source) -> Image:
        """Take bytes of a queued image that are to be imported later: uploading.

        Raises:
            NotQueued: the image has bytes already, or is being given some.
            SourceError, StoreError, LimitReached: it failed; the image is queued again, nothing is left.
            ImageGone: the image was deleted meanwhile; nothing is left.
        """
        store = writable_store(self._stores, self._settings.staging_store)
        store.bulkhead.require_room()  # before anything is recorded
        attempt = self._begin_staging(change, store, source.length)
        size, limit = change.fields.size, self._settings.image_size_cap
        demands = Expectations(length=source.length, size=size, limit=limit)
        return self._transfers.stage(attempt, source, demands)

    @retry_on_conflict
    def _begin_staging(self, change: Change, store: CheckedStore, length: int | None) -> UploadAttempt:
        with self._database.unit() as unit:
            image = _take(unit, change, Status.QUEUED, Status.UPLOADING)
            key, caller = new_key(image.id), change.caller
            attempt = UploadAttempt(image, key, store.name, length, Status.QUEUED, caller=caller)
            return self._transfers.begin(unit, attempt)

    def submit(self, change: Change, request: ImportRequest) -> Submitted:
        """Write a job down that brings bytes into stores. Only the job looks at the bytes.

        Raises:
            InvalidRequest, NotAllowed, UnknownStore, UnknownTarget, BadLocation: nothing was recorded.
            DuplicateImage, LimitReached: nothing was recorded.
            NotQueued: the image is in a status that does not allow it, or another job is at work on it.
        """
        if request.origin is Origin.STAGED:
            return self._submit_staged(change, request)
        if request.origin is Origin.COPY:
            return self._submit_copy(change, request)
        return self._submit_uri(change, request)

    @retry_on_conflict
    def _submit_staged(self, change: Change, request: ImportRequest) -> Submitted:
        targets = self._targets(request)
        with self._database.unit() as unit:
            image = _take(unit, change, Status.UPLOADING, Status.IMPORTING)
            staged = unit.staged(image.id)
            if not staged:
                raise NotQueued("The bytes of the image are still being staged. Import it afterwards.")
            spec = JobSpec(
                stores=targets,
                source=staged[0].store,
                location=staged[0].location,
                staged=staged[0].key,
                size=image.size,
                limit=self._settings.image_size_cap,
                on_failure=request.on_failure,
                strict=request.strict,
            )
            return Submitted(image, add_job(unit, JobKind.FETCH, image, spec, change.caller))

    def _submit_uri(self, change: Change, request: ImportRequest) -> Submitted:
        gives_new = change.image is None or request.waits
        if gives_new:
            change.check(self._settings)
        if request.asked is not None:
            check_formats(change.fields)
        source = external_store(self._stores, self._settings, change.caller, change.fields.location or "")
        targets = self._targets(request, named_in_change=gives_new, store=change.fields.store)
        if not gives_new:
            image = change.require_image()
            _require_formats(image)
            if image.status is not Status.QUEUED:
                raise NotQueued.of(_wanted(Status.QUEUED), image.status)
        elif request.waits:
            change = self._with_agreed_size(change)
        spec = self._spec(source, change.fields.location or "", targets, request)
        self._database.start_usage(change.owner)
        return self._write_uri(change, request, spec)

    def _with_agreed_size(self, change: Change) -> Change:
        size, cap = change.agreed_size(None), self._settings.image_size_cap
        if size is not None and size > cap:
            raise RequestTooLarge(f"Denying attempt to upload image larger than {cap} bytes.")
        return change.with_fields(size=size)

    @retry_on_conflict
    def _write_uri(self, change: Change, request: ImportRequest, spec: JobSpec) -> Submitted:
        with self._database.unit() as unit:
            if request.waits:
                image = self._writer.write(unit, change)
                at_work = unit.has_open_job(image.id)
                if image.status is not Status.QUEUED or at_work:
                    raise NotQueued.of(UNQUEUED, image.status, at_work=at_work)
            elif change.image is None:
                require(change.caller, policy.OPERATE)
                image = self._writer.add(unit, change, Status.IMPORTING)
            else:
                image = _take(unit, change, Status.QUEUED, Status.IMPORTING)
            return Submitted(image, add_job(unit, JobKind.FETCH, image, spec, change.caller))

    def _spec(
        self, source: CheckedStore, uri: str, targets: tuple[str, ...], request: ImportRequest
    ) -> JobSpec:
        """Return the specification to import what lies at a URI. Only the job asks the source, because that
        may take long.

        Raises:
            BadLocation: it must not be fetched, as far as that can be judged without asking anybody.
        """
        if len(uri) > URI_MAX:
            raise BadLocation(
                source.name, f"the URI has {len(uri)} characters, and an import takes up to {URI_MAX}"
            )
        source.check_uri(uri)
        return JobSpec(
            stores=targets,
            source=source.name,
            uri=uri,
            limit=self._settings.image_size_cap,
            on_failure=request.on_failure,
            strict=request.strict,
            asked=request.asked,
        )

    @retry_on_conflict
    def _submit_copy(self, change: Change, request: ImportRequest) -> Submitted:
        targets = self._targets(request)
        image_id = change.require_image().id
        with self._database.unit() as unit:
            image = locked_for(unit, image_id, change.caller, policy.OPERATE)
            at_work = unit.has_open_job(image_id)
            if image.status is not Status.ACTIVE or at_work:
                busy = ", and an import or a copy of it is under way: wait for its end" if at_work else ""
                raise NotQueued(
                    "Only an active image that nothing else is done with can be copied. "
                    f"This image is {image.status}{busy}."
                )
            held = {location.store for location in image.locations}
            if not request.skip_held and held & set(targets):
                raise InvalidRequest(f"The image is in store {sorted(held & set(targets))[0]} already.")
            stores = tuple(name for name in targets if name not in held)
            if not stores:
                return Submitted(image, None)
            spec = JobSpec(stores=stores, strict=request.strict)
            return Submitted(image, add_job(unit, JobKind.COPY, image, spec, change.caller))

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
            self._transfers.removal.mark(unit, current, there)

    def _targets(
        self, request: ImportRequest, *, named_in_change: bool = False, store: str | None = None
    ) -> tuple[str, ...]:
        """Return the names of the stores that get the bytes.

        A store that the image's own metadata names is a wrong value; one that an import names is not there.

        Raises:
            UnknownStore, UnknownTarget: there is no such store, or it takes no uploads.
        """
        try:
            return tuple(writable_store(self._stores, name).name for name in request.stores or (store,))
        except UnknownStore as error:
            if named_in_change:
                raise
            raise UnknownTarget(str(error)) from None


def external_store(stores: Catalog, settings: Settings, caller: Caller, uri: str) -> CheckedStore:
    """Return the store that reads what lies at a URI: the only way by which a client's URI comes to one.

    Raises:
        NotAllowed: the caller may name no source outside of this service.
        BadLocation: no store takes the URI.
    """
    if not policy.may_name_sources(caller, settings.external_sources):
        raise NotAllowed(
            "You are not allowed to name a source outside of this service. Upload the bytes instead, or ask "
            "the operator, who can allow it by calotype.external_sources."
        )
    return stores.external(uri)


def writable_store(stores: Catalog, name: str | None) -> CheckedStore:
    """Return the store of that name, or the default one; raises UnknownStore."""
    name = name or stores.default
    writable = [store.name for store in stores if store.can(Capability.WRITE)]
    if not writable:
        raise UnknownStore("This service has no store that takes uploads.")
    if name is None:
        raise UnknownStore(f"No store is named, and there is no default; use one of: {', '.join(writable)}.")
    if name not in stores:
        raise UnknownStore(no_store(name, writable))
    if name not in writable:
        raise UnknownStore(f"Store {quoted(name)} takes no uploads; use one of: {', '.join(writable)}.")
    return stores[name]


def _take(unit: Unit, change: Change, before: Status, after: Status) -> Image:
    """Move an image on whose bytes are to be staged or imported; return it, with its row alone."""
    image_id = change.require_image().id
    current = locked_for(unit, image_id, change.caller, policy.UPLOAD, whole=False)
    if after is Status.IMPORTING:
        _require_formats(current)
    if unit.has_open_job(image_id):
        raise NotQueued("The image is being imported already. Wait for the end of that import.")
    try:
        unit.move(image_id, {before}, after, status_reason=None)
    except StatusConflict:
        raise NotQueued.of(_wanted(before), current.status) from None
    return unit.row(image_id)


def _wanted(before: Status) -> str:
    if before is Status.UPLOADING:
        return "Only an image whose bytes are staged can be imported by glance-direct"
    return "Only a queued image can be given bytes"


def _require_formats(image: Image) -> None:
    for field in ("disk_format", "container_format"):
        if getattr(image, field) is None:
            raise NotQueued(f"The image's {field} must be set before it can be imported.")
