"""Stores that a test makes unavailable, and a lifecycle whose jobs need them."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select, update

from calotype.database.tables import JobRow
from calotype.images.imports import ImportRequest, Origin
from calotype.images.lifecycle import Lifecycle
from calotype.model.audit import Actor
from calotype.model.change import Change
from calotype.model.fields import ImageFields
from calotype.model.images import Image
from calotype.model.jobs import Job, JobKind
from calotype.model.policy import Caller
from calotype.stores import BlobNotFound, Reader, Stored, Unavailable
from calotype.testing import Trickle
from calotype.testing.memory import MemoryStore
from calotype.transfers.jobs import JobSpec
from calotype.transfers.readers import Announced
from tests.support.workbench import Bench

DATA = b"bytes of an image" * 100
AWAY = "it cannot be connected to"
LONG_AGO = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)


class Leaving(MemoryStore):
    """A store that is unavailable while a test says so."""

    def __init__(self, name: str):
        super().__init__(name, MemoryStore.Options())
        self.away: Callable[[], Exception] | None = None
        self.tries = 0
        #: Called when bytes are read.
        self.meanwhile: Callable[[], object] = lambda: None

    def add(self, key: str, source: Reader, size: int | None = None) -> Stored:
        self._answer()
        return super().add(key, source, size)

    def get(self, location: str, offset: int = 0, length: int | None = None) -> Reader:
        self._answer()
        self.meanwhile()
        return super().get(location, offset, length)

    def discard(self, key: str) -> None:
        self.check()
        with contextlib.suppress(BlobNotFound):
            super().discard(key)

    def register(self, uri: str) -> Stored:
        self._answer()
        return super().register(uri)

    def check(self) -> None:
        if self.away is not None:
            raise self.away()

    def leave(self, error: Callable[[], Exception] | None = None) -> None:
        """Make the store unavailable, with this error if one is given."""
        self.away = error or (lambda: Unavailable(self.name, AWAY))

    def _answer(self) -> None:
        self.tries += 1
        self.check()


@dataclass
class Outages:
    """A bench with the stores `near`, `far` and `web`, of which each can be unavailable."""

    bench: Bench
    near: Leaving
    far: Leaving
    web: Leaving
    lifecycle: Lifecycle

    def job(self) -> Job:
        """Return the only job."""
        with self.bench.database.engine.connect() as connection:
            (job_id,) = connection.scalars(select(JobRow.id))
        return self.bench.database.find_job(job_id)

    def change_job(self, **values: Any) -> None:
        with self.bench.database.engine.begin() as connection:
            connection.execute(update(JobRow).values(**values))

    def row(self) -> JobRow:
        with self.bench.database.engine.connect() as connection:
            return connection.execute(select(JobRow.__table__)).one()

    def work_when_due(self) -> bool:
        """End the job's pause, and do the job."""
        self.change_job(not_before=LONG_AGO)
        return self.lifecycle.work()

    def image(self) -> Image:
        """Return the job's image."""
        return self.bench.database.find(self.job().image_id)

    def stores_of(self, image: Image) -> set[str]:
        """Return the stores that have the image's bytes now."""
        return {location.store for location in self.bench.database.find(image.id).locations}

    def importing(self, *stores: str, strict: bool = True) -> Image:
        """Return an image whose staged bytes, in `near`, are being imported."""
        draft = ImageFields(fields={"disk_format": "raw", "container_format": "bare"})
        image = self.lifecycle.reserve(Change(self.bench.caller, draft))
        staged = self.lifecycle.imports.stage(
            Change(self.bench.caller, ImageFields(), image), Announced(Trickle(DATA))
        )
        self.lifecycle.imports.submit(
            Change(self.bench.caller, ImageFields(), staged),
            ImportRequest(Origin.STAGED, stores, strict=strict),
        )
        return staged

    def copying(self, *stores: str) -> Image:
        """Return an active image in `near` that is being copied."""
        image = self.upload()
        self.copy(image, *stores)
        return image

    def upload(self, caller: Caller | None = None) -> Image:
        """Return an active image in `near`."""
        change = Change(caller or self.bench.caller, ImageFields())
        return self.lifecycle.upload(change, Announced(Trickle(DATA)))

    def copy(self, image: Image, *stores: str, caller: Caller | None = None) -> None:
        """Submit a job that copies an image."""
        change = Change(caller or self.bench.caller, ImageFields(), self.bench.database.find(image.id))
        self.lifecycle.imports.submit(change, ImportRequest(Origin.COPY, stores))

    def downloading(self) -> Image:
        """Return an image whose bytes are fetched from `web`, an external source."""
        self.web.shelf.foreign["there"] = DATA
        location = MemoryStore.register(self.web, "memory:there").location
        image = self.lifecycle.reserve(Change(self.bench.caller, ImageFields()))
        order = JobSpec(("near",), source="web", location=location, size=len(DATA))
        with self.bench.database.unit() as unit:
            unit.add_job(JobKind.FETCH, image, order.to_json(), Actor())
        return image
