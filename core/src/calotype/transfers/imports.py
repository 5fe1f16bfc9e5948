"""Imports: bytes that a client stages, or that lie elsewhere, become an image's by a job.

An image that is being imported stays so until all its stores have the bytes, or, where
that was not asked for, until every store was tried. One that cannot be imported is
queued again, with nothing of it left anywhere.
"""

from __future__ import annotations

from calotype.config.settings import Settings
from calotype.database.database import Database
from calotype.database.errors import StatusConflict
from calotype.database.retry import retry_on_conflict
from calotype.database.rights import locked_for
from calotype.database.unit_of_work import Unit
from calotype.model import policy
from calotype.model.errors import NotAllowed, NotQueued, UnknownStore, UnknownTarget
from calotype.model.images import Image, Status
from calotype.model.jobs import JobKind
from calotype.model.policy import Caller
from calotype.stores.catalog import Catalog
from calotype.stores.checked import CheckedStore
from calotype.stores.contract import Capability, Reader
from calotype.stores.errors import BadLocation
from calotype.stores.measured import Expectations
from calotype.transfers.jobs import JobSpec, add_job
from calotype.transfers.transfers import Transfers, UploadAttempt

#: Characters of a URI that is imported. Signed URLs have some 1,800 of them.
URI_MAX = 8000


class Imports:
    """Staging and importing; part of `Lifecycle`, shared by all threads."""

    def __init__(self, database: Database, stores: Catalog, settings: Settings, transfers: Transfers):
        self._database = database
        self._stores = stores
        self._settings = settings
        self._transfers = transfers

    def stage(
        self, image: Image, source: Reader, size: int | None, length: int | None, caller: Caller
    ) -> Image:
        """Take bytes of a queued image that are to be imported later: uploading.

        `size` is what the client declared, `length` what the transport announced.

        Raises:
            NotQueued: the image has bytes already, or is being given some.
            SourceError, StoreError, LimitReached: it failed; the image is queued again, nothing is left.
            ImageGone: the image was deleted meanwhile; nothing is left.
        """
        store = writable_store(self._stores, self._settings.staging_store)
        store.bulkhead.require_room()  # before anything is recorded
        attempt = self._begin_staging(image, store, length, caller)
        demands = Expectations(length=length, size=size, limit=self._settings.image_size_cap)
        return self._transfers.stage(attempt, source, demands)

    @retry_on_conflict
    def _begin_staging(
        self, image: Image, store: CheckedStore, length: int | None, caller: Caller
    ) -> UploadAttempt:
        with self._database.unit() as unit:
            waiting = _begin(unit, image, {Status.QUEUED}, Status.UPLOADING, caller)
            return self._transfers.begin(unit, waiting, store, length, Status.QUEUED, caller=caller)

    @retry_on_conflict
    def import_staged(
        self, image: Image, stores: tuple[str, ...], caller: Caller, request_id: str, *, strict: bool = True
    ) -> None:
        """Have staged bytes imported into stores (none: the default one), by a job.

        With `strict`, one store's failure is that of all.

        Raises:
            NotQueued: no bytes are staged, or one of the formats is not set.
            UnknownTarget: one of the stores is not there, or takes no uploads.
        """
        targets = self._targets(stores)
        with self._database.unit() as unit:
            waiting = _begin(unit, image, {Status.UPLOADING}, Status.IMPORTING, caller)
            staged = unit.staged(image.id)
            if not staged:
                raise NotQueued("The bytes of the image are still being staged. Import it afterwards.")
            order = JobSpec(
                stores=targets,
                source=staged[0].store,
                location=staged[0].location,
                staged=staged[0].key,
                size=waiting.size,
                limit=self._settings.image_size_cap,
                on_failure=Status.QUEUED,
                strict=strict,
            )
            add_job(unit, JobKind.FETCH, waiting, order, request_id, caller)

    @retry_on_conflict
    def import_from(
        self,
        image: Image,
        uri: str,
        stores: tuple[str, ...],
        caller: Caller,
        request_id: str,
        *,
        strict: bool = True,
    ) -> None:
        """Have the bytes at a URI imported into stores (none: the default one), by a job.

        A URI that must not be fetched is refused at once; whether bytes are there is for the job to see.

        Raises:
            NotQueued: the image has bytes, is being given some, or has a format that is not set.
            UnknownTarget: one of the stores is not there, or takes no uploads.
            NotAllowed, BadLocation: the caller may name no URI; no store takes this one.
        """
        source = external_store(self._stores, self._settings, caller, uri)
        targets = self._targets(stores)
        _require_formats(image)
        if image.status is not Status.QUEUED:
            raise NotQueued.of(_wanted({Status.QUEUED}), image.status)
        order = job_spec(source, uri, targets, self._settings, strict=strict)
        with self._database.unit() as unit:
            waiting = _begin(unit, image, {Status.QUEUED}, Status.IMPORTING, caller)
            add_job(unit, JobKind.FETCH, waiting, order, request_id, caller)

    def _targets(self, stores: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(writable_target(self._stores, name).name for name in stores or (None,))


def external_store(stores: Catalog, settings: Settings, caller: Caller, uri: str) -> CheckedStore:
    """The store that reads what lies at a URI: the only way by which a client's URI comes to one.

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


def job_spec(
    source: CheckedStore,
    uri: str,
    targets: tuple[str, ...],
    settings: Settings,
    *,
    strict: bool = True,
    on_failure: Status = Status.QUEUED,
) -> JobSpec:
    """The order to import what lies at a URI. Only the job asks the source, because that may take long.

    Raises:
        BadLocation: it must not be fetched, as far as that can be told without asking anybody.
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
        limit=settings.image_size_cap,
        on_failure=on_failure,
        strict=strict,
    )


def writable_store(stores: Catalog, name: str | None) -> CheckedStore:
    """The store of that name, or the default one; raises UnknownStore."""
    name = name or stores.default
    if name is None or name not in stores:
        raise UnknownStore(
            f"Requested store {name or '(none, and there is no default)'} "
            f"not available for storage on this Glance node{_one_of(stores)}"
        )
    if not stores[name].can(Capability.WRITE):
        raise UnknownStore(
            f"Requested store {name} not available for storage: it takes no uploads{_one_of(stores)}"
        )
    return stores[name]


def _one_of(stores: Catalog) -> str:
    """Return what a client can name instead."""
    names = [store.name for store in stores if store.can(Capability.WRITE)]
    return f"; one of: {', '.join(names)}." if names else ""


def writable_target(stores: Catalog, name: str | None) -> CheckedStore:
    """As `writable_store`, for where a job is to put bytes; raises UnknownTarget."""
    try:
        return writable_store(stores, name)
    except UnknownStore as error:
        raise UnknownTarget(str(error)) from None


def _begin(unit: Unit, image: Image, before: set[Status], after: Status, caller: Caller) -> Image:
    current = locked_for(unit, image.id, caller, policy.UPLOAD)
    if after is Status.IMPORTING:
        _require_formats(current)
    if unit.has_open_job(image.id):
        raise NotQueued("The image is being imported already. Wait for the end of that import.")
    try:
        unit.move(image.id, before, after, status_reason=None)
    except StatusConflict:
        raise NotQueued.of(_wanted(before), current.status) from None
    return unit.image(image.id)


def _wanted(before: set[Status]) -> str:
    if before == {Status.UPLOADING}:
        return "Only an image whose bytes are staged can be imported by glance-direct"
    return "Only a queued image can be given bytes"


def _require_formats(image: Image) -> None:
    for field in ("disk_format", "container_format"):
        if getattr(image, field) is None:
            raise NotQueued(f"The image's {field} must be set before it can be imported.")
