"""Jobs: work that outlives the request that asked for it, carried by whichever process has a hand free.

A job stands in the registry with all that is needed to do it. Whoever takes it holds a
lease on it; if that lapses, another begins the job again, after what the first one left
behind has been swept away. The one who lost the lease cannot end the job any more.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tintype.lifecycle.leases import Leases
from tintype.lifecycle.states import Vanished
from tintype.lifecycle.transfers import Transfers, reason
from tintype.registry import (
    Image,
    Job,
    JobKind,
    JobStatus,
    Registry,
    RegistryError,
    Status,
    StatusConflict,
    Unit,
)
from tintype.stores.catalog import Catalog
from tintype.stores.checked import Demands
from tintype.stores.errors import SourceError, StoreError

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Order:
    """What a job is to do.

    FETCH reads `location` of the external store `source` into the first of `stores`, and copies
    on from there; COPY copies what the image has. `strict`: one store that fails fails it all.
    """

    stores: tuple[str, ...]
    source: str | None = None
    location: str | None = None
    size: int | None = None
    limit: int | None = None
    on_failure: Status = Status.KILLED
    strict: bool = True

    def to_json(self) -> dict[str, Any]:
        """The order as it stands in the registry."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Order:
        """The order that stands in the registry."""
        given = {**values, "stores": tuple(values["stores"]), "on_failure": Status(values["on_failure"])}
        return cls(**given)


class Jobs:
    """Taking jobs and doing them; shared by all threads that do."""

    def __init__(self, registry: Registry, stores: Catalog, leases: Leases, transfers: Transfers):
        self._registry = registry
        self._stores = stores
        self._leases = leases
        self._transfers = transfers

    def run_next(self) -> bool:
        """Take the oldest job that nobody does, and do it; whether there was one."""
        job = self._take()
        if job is None:
            return False
        with self._leases.held(job.id):
            failed = self._do(job)
        self._end(job, failed)
        return True

    def _take(self) -> Job | None:
        for job in self._registry.open_jobs(self._leases.end(0), limit=10):
            with self._registry.unit() as unit:
                if unit.claim_job(job.id, self._leases.owner, self._leases.end()):
                    return job
        return None

    def _do(self, job: Job) -> dict[str, str]:
        """Do it; store name -> what went wrong there."""
        order = Order.from_json(job.order)
        failed: dict[str, str] = {}
        stores = list(order.stores)
        try:
            image = self._image(job)
            if job.kind is JobKind.FETCH and image.status is not Status.ACTIVE:
                image = self._fetch(image, stores[0], order)
                self._note(job, stores[1:], failed)
        except Exception as error:  # noqa: BLE001 - whatever a job dies of is written down
            _log(job, error)
            return dict.fromkeys(stores, reason(error))
        while remaining := [name for name in stores if name not in failed and not _holds(image, name)]:
            name = remaining[0]
            try:
                image = self._transfers.copy(image, self._stores[name])
            except Exception as error:  # noqa: BLE001 - as above
                _log(job, error)
                failed[name] = reason(error)
                if order.strict:
                    break
            self._note(job, remaining[1:], failed)
        return failed

    def _image(self, job: Job) -> Image:
        image = self._registry.find(job.image_id)
        if image is None:
            raise Vanished(f"Image {job.image_id} was deleted.")
        return image

    def _fetch(self, image: Image, target: str, order: Order) -> Image:
        source = self._stores[order.source or ""].get(order.location or "", size=order.size)
        try:
            with self._registry.unit() as unit:
                unit.move(image.id, {Status.QUEUED}, Status.SAVING, status_reason=None)
                saving = unit.image(image.id)
                attempt = self._transfers.begin(
                    unit, saving, self._stores[target], order.size, order.on_failure
                )
            demands = Demands(length=order.size, limit=order.limit)
            return self._transfers.carry(attempt, source, demands)
        finally:
            source.close()

    def _note(self, job: Job, pending: list[str], failed: dict[str, str]) -> None:
        with self._registry.unit() as unit:
            unit.note_job(job.id, self._leases.owner, {"pending": pending, "failed": sorted(failed)})

    def _end(self, job: Job, failed: dict[str, str]) -> None:
        status = JobStatus.FAILURE if failed else JobStatus.SUCCESS
        message = "; ".join(dict.fromkeys(failed.values()))
        order = Order.from_json(job.order)
        try:
            with self._registry.unit() as unit:
                outcome = {"pending": [], "failed": sorted(failed)}
                if unit.end_job(job.id, self._leases.owner, status, message, outcome) and failed:
                    self._leave(unit, job, order, message)
        except RegistryError:
            log.exception("job %s: its end could not be written down; it will be begun again", job.id)

    def _leave(self, unit: Unit, job: Job, order: Order, message: str) -> None:
        """An image that never got its bytes is left where the order says."""
        if job.kind is JobKind.FETCH and order.on_failure is Status.KILLED:
            try:
                unit.move(job.image_id, {Status.QUEUED}, Status.KILLED, status_reason=message)
            except StatusConflict:
                return


def add_job(unit: Unit, kind: JobKind, image: Image, order: Order, request_id: str, user: str | None) -> str:
    """Write a job down; somebody will take it. Returns its id."""
    return unit.add_job(kind, image, order.to_json(), list(order.stores), request_id, user)


def _holds(image: Image, store: str) -> bool:
    return any(location.store == store for location in image.locations)


def _log(job: Job, error: Exception) -> None:
    if isinstance(error, (SourceError, StoreError, Vanished, RegistryError)):
        log.warning("job %s: %s", job.id, error)
    else:
        log.exception("job %s failed", job.id)
