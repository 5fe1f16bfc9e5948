"""Imports: a job copies staged bytes, bytes at a URI, or the bytes of an active image into stores.

An image stays `importing` until all stores of the import have the bytes, or, if the import is not strict,
until each store has been tried. After a failed import, the image gets the status `on_failure` of the request,
and no bytes are left.
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
from calotype.images.writing import UNQUEUED, ChangeWriter, require_no_session
from calotype.model import policy
from calotype.model.audit import AuditVerb
from calotype.model.change import Change
from calotype.model.errors import NotAllowed, NotFound, NotQueued, UnknownStore, UnknownTarget, no_store
from calotype.model.fields import InvalidRequest, check_formats, check_size
from calotype.model.images import Image
from calotype.model.jobs import JobKind
from calotype.model.policy import Caller
from calotype.model.states import Status
from calotype.model.uploads import UploadAttempt, new_key
from calotype.stores.catalog import Catalog
from calotype.stores.checked import CheckedStore
from calotype.stores.contract import WritableStore
from calotype.stores.errors import BadLocation
from calotype.stores.measured import Expectations
from calotype.transfers.job_spec import JobSpec, add_job
from calotype.transfers.readers import Source
from calotype.transfers.transfers import Transfers

#: Maximum length of an imported URI in characters. Signed URLs have about 1,800.
URI_MAX = 8000


class Origin(enum.Enum):
    """The origin of an import's bytes."""

    STAGED = enum.auto()  #: a client has staged them
    URI = enum.auto()  #: they are at the URI in the change's `location`
    COPY = enum.auto()  #: the active image has them in other stores


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """A client's request for an import.

    `stores` are the names of the stores that get the bytes. If it is empty, the change's store or the default
    store gets them. If `strict` is true, the whole import fails if one store fails. `on_failure` is the
    image's status after a failed import. If `waits` is true, the image stays queued until the job begins.
    `asked` is the part of the client's document that the task shows. If `skip_held` is true, stores that
    already have the image's bytes are skipped. Otherwise they make the request fail.
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
    """An image, and the id of its new job. The id is None if there was nothing to do."""

    image: Image
    job_id: str | None


class Imports:
    """The verbs that stage and import, for one database and one catalog. All threads share an instance."""

    def __init__(self, database: Database, stores: Catalog, settings: Settings, transfers: Transfers):
        self._database = database
        self._stores = stores
        self._settings = settings
        self._transfers = transfers
        self._writer = ChangeWriter(settings)

    def stage(self, change: Change, source: Source) -> Image:
        """Stage bytes of a queued image for a later import. The image becomes `uploading`.

        Raises:
            RequestTooLarge: the source announces more bytes than allowed; nothing was recorded.
            NotQueued: the image already has bytes, or is getting them.
            OpenSession: the image has an open upload session.
            SourceError, StoreError, LimitReached: staging failed; the image is queued, without bytes.
            ImageGone: the image was deleted meanwhile; no bytes are left.
        """
        check_size(source.length, self._settings)
        store = writable_store(self._stores, self._settings.staging_store)
        store.bulkhead.require_room()  # refuse before anything is recorded
        attempt = self._begin_staging(change, store, source.length)
        size, limit = change.fields.size, self._settings.image_size_cap
        demands = Expectations(source.length, size, limit, dict(source.digests))
        return self._transfers.stage(attempt, source, demands)

    @retry_on_conflict
    def _begin_staging(self, change: Change, store: CheckedStore, length: int | None) -> UploadAttempt:
        with self._database.unit() as unit:
            image = _take(unit, change, Status.QUEUED, Status.UPLOADING)
            key, caller = new_key(image.id), change.caller
            attempt = UploadAttempt(image, key, store.name, length, Status.QUEUED, caller=caller)
            return self._transfers.begin(unit, attempt)

    def submit(self, change: Change, request: ImportRequest) -> Submitted:
        """Add a job that copies bytes into stores. Only the job reads the bytes.

        Raises:
            InvalidRequest, NotAllowed, UnknownStore, UnknownTarget, BadLocation: the request breaks a rule.
            DuplicateImage, LimitReached: the image's id is taken, or the project's quota is used up.
            NotQueued: the image's status does not allow the import, or another job of the image is open.
            OpenSession: the image has an open upload session.
        """
        if request.origin is Origin.STAGED:
            return self._submit_staged(change, request)
        if request.origin is Origin.COPY:
            return self._submit_copy(change, request)
        return self._submit_uri(change, request)

    @retry_on_conflict
    def _submit_staged(self, change: Change, request: ImportRequest) -> Submitted:
        targets = self._targets(change, request)
        with self._database.unit() as unit:
            image = _take(unit, change, Status.UPLOADING, Status.IMPORTING)
            staged = unit.staged(image.id)
            if not staged:
                raise NotQueued("The bytes of the image are still being staged. Import it afterwards.")
            spec = self._fetch_spec(
                request,
                targets,
                source=staged[0].store,
                location=staged[0].location,
                staged=staged[0].key,
                size=image.size,
            )
            return Submitted(image, add_job(unit, JobKind.FETCH, image, spec, change.caller))

    def _submit_uri(self, change: Change, request: ImportRequest) -> Submitted:
        if _sets_metadata(change, request):
            change.check(self._settings)
        if request.asked is not None:
            check_formats(change.fields)
        uri = change.fields.location or ""
        source = external_store(self._stores, self._settings, change.caller, uri)
        targets = self._targets(change, request)
        if not _sets_metadata(change, request):
            # An image that cannot be imported gets 409 whatever its URI is, so check it before the URI.
            # `_take` checks it again under the row's lock, because another request may have changed it since.
            image = change.require_image()
            _require_formats(image)
            if image.status is not Status.QUEUED:
                raise NotQueued.of(_NEEDED[Status.QUEUED], image.status)
        elif request.waits:
            change = self._with_agreed_size(change)
        if len(uri) > URI_MAX:
            raise BadLocation(
                source.name, f"the URI has {len(uri)} characters, and an import takes up to {URI_MAX}"
            )
        source.check_uri(uri)  # only the job contacts the source, because that may take long
        spec = self._fetch_spec(request, targets, source=source.name, uri=uri)
        self._database.start_usage(change.owner)
        return self._write_uri(change, request, spec)

    def _with_agreed_size(self, change: Change) -> Change:
        size = change.agreed_size(None)
        check_size(size, self._settings)
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

    def _fetch_spec(self, request: ImportRequest, targets: tuple[str, ...], **source: Any) -> JobSpec:
        return JobSpec(
            stores=targets,
            limit=self._settings.image_size_cap,
            on_failure=request.on_failure,
            strict=request.strict,
            asked=request.asked,
            **source,
        )

    @retry_on_conflict
    def _submit_copy(self, change: Change, request: ImportRequest) -> Submitted:
        targets = self._targets(change, request)
        image_id = change.require_image().id
        with self._database.unit() as unit:
            image = locked_for(unit, image_id, change.caller, policy.OPERATE)
            at_work = unit.has_open_job(image_id)
            if image.status is not Status.ACTIVE or at_work:
                busy = ", and an import or a copy of it is running: wait until it ends" if at_work else ""
                raise NotQueued(
                    "Only an active image without a running import or copy can be copied. "
                    f"This image is {image.status}{busy}."
                )
            held = {location.store for location in image.locations}
            if not request.skip_held and held & set(targets):
                raise InvalidRequest(
                    f"The image is already in store {sorted(held & set(targets))[0]}. Leave that store out."
                )
            stores = tuple(name for name in targets if name not in held)
            if not stores:
                return Submitted(image, None)
            spec = JobSpec(stores=stores, strict=request.strict)
            return Submitted(image, add_job(unit, JobKind.COPY, image, spec, change.caller))

    @retry_on_conflict
    def remove_from_store(self, image: Image, store: str, caller: Caller) -> None:
        """Remove an image's bytes from one of its stores, but never its last undamaged copy.

        Raises:
            NotQueued: the image is not active.
            NotFound: the store has no copy of the image.
            NotAllowed: no other store has a copy, or all copies in other stores are damaged.
        """
        with self._database.unit(frees=True) as unit:
            current = locked_for(unit, image.id, caller, policy.OPERATE)
            if current.status is not Status.ACTIVE:
                raise NotQueued(
                    f"Only an active image can be removed from a store. This image is {current.status}."
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
                raise NotAllowed(
                    f"Store {store} holds the only undamaged bytes of image {image.id}. "
                    "Copy them into another store first."
                )
            unit.audit(AuditVerb.REMOVE_COPY, image.id, caller.actor, f"store {store}")
            self._transfers.removal.mark(unit, current, there)

    def _targets(self, change: Change, request: ImportRequest) -> tuple[str, ...]:
        """Return the names of the stores that get the bytes.

        Raises:
            UnknownStore: the image's metadata names a store that does not exist or takes no uploads.
            UnknownTarget: the import names such a store.
        """
        try:
            names = request.stores or (change.fields.store,)
            return tuple(writable_store(self._stores, name).name for name in names)
        except UnknownStore as error:
            if _sets_metadata(change, request):
                raise
            raise UnknownTarget(str(error)) from None


def _sets_metadata(change: Change, request: ImportRequest) -> bool:
    """Return True if the change creates an image or changes metadata, False if it only names a URI."""
    return change.image is None or request.waits


def external_store(stores: Catalog, settings: Settings, caller: Caller, uri: str) -> CheckedStore:
    """Return the store that reads from a URI. A client's URI reaches a store only through this function.

    Raises:
        NotAllowed: the caller may not name a source outside of this service.
        BadLocation: no store accepts the URI.
    """
    if not policy.may_name_sources(caller, settings.external_sources):
        raise NotAllowed(
            "You are not allowed to name a source outside of this service. Upload the bytes instead, or ask "
            "the operator, who can allow it by calotype.external_sources."
        )
    return stores.external(uri)


def writable_store(stores: Catalog, name: str | None) -> CheckedStore:
    """Return the store with this name, or the default store if `name` is None.

    Raises:
        UnknownStore: there is no such store, or it takes no uploads.
    """
    name = name or stores.default
    writable = [store.name for store in stores if store.can(WritableStore)]
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
    """Move an image to the status in which its bytes are staged or imported, and return its row."""
    image_id = change.require_image().id
    current = locked_for(unit, image_id, change.caller, policy.UPLOAD, whole=False)
    if after is Status.IMPORTING:
        _require_formats(current)
    require_no_session(unit, image_id)
    if unit.has_open_job(image_id):
        raise NotQueued("The image is being imported already. Wait until that import ends.")
    try:
        unit.move(image_id, {before}, after, status_reason=None)
    except StatusConflict:
        raise NotQueued.of(_NEEDED[before], current.status) from None
    return unit.row(image_id)


#: Required status -> the message if an image has another status.
_NEEDED = {
    Status.UPLOADING: "Only an image whose bytes are staged can be imported by glance-direct",
    Status.QUEUED: "Only a queued image can be given bytes",
}


def _require_formats(image: Image) -> None:
    for field in ("disk_format", "container_format"):
        if getattr(image, field) is None:
            raise NotQueued(f"The image's {field} must be set before it can be imported.")
