"""Images with copies in several stores, which a test damages and has scrubbed."""

from __future__ import annotations

import contextlib
import datetime
import threading

from sqlalchemy import update

from calotype.database.tables import LocationRow
from calotype.images.imports import ImportRequest, Origin
from calotype.images.lifecycle import Lifecycle
from calotype.model.change import Change
from calotype.model.fields import ImageFields
from calotype.model.findings import FindingState
from calotype.stores import Reader, Unavailable
from calotype.testing import Trickle, pattern
from calotype.transfers.readers import Announced
from tests.support.workbench import CALLER, Bench, Moody, make_catalog, make_settings

DATA = pattern(3000)
LONG_AGO = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)


class Watched(Moody):
    """A store that records which locations are read, and whose reads and checks fail if a test says so."""

    def __init__(self, name: str):
        super().__init__(name)
        self.read: list[str] = []
        self.away = False
        self.unreadable: set[str] = set()
        self.glitches = 0

    def get(self, location: str, offset: int = 0, length: int | None = None) -> Reader:
        self.read.append(location)
        if self.away or location in self.unreadable:
            raise Unavailable(self.name, "it does not answer")
        if self.glitches:
            self.glitches -= 1
            return Trickle(bytes(len(self._held(location))))
        return super().get(location, offset, length)

    def check(self) -> None:
        if self.away:
            raise Unavailable(self.name, "it does not answer")


class Place:
    """A lifecycle over three stores, and the means to damage the blobs in two of them."""

    def __init__(self, bench: Bench, **settings: object):
        self.database = bench.database
        self.one, self.two, self.three = Watched("one"), Watched("two"), Watched("three")
        given = {"scrub_rate": 1 << 40, "lease": 1, **settings}
        self.lifecycle = Lifecycle(
            bench.database, make_catalog(self.one, self.two, self.three), make_settings(**given)
        )
        self.ending = threading.Event()
        self.scrubber = self.another()

    def another(self):
        """Return the first store's scrubber of another process."""
        return self.lifecycle.scrubbers(self.ending, only="one")[0]

    def upload(self, data: bytes = DATA, *, twice: bool = False) -> str:
        image = self.lifecycle.upload(
            Change(CALLER, ImageFields(store="one")), Announced(Trickle(data), len(data))
        )
        if twice:
            self.lifecycle.imports.submit(
                Change(CALLER, ImageFields(), image), ImportRequest(Origin.COPY, ("two",))
            )
            assert self.lifecycle.work()
        self.age(image.id)
        return image.id

    def age(self, image_id: str) -> None:
        row = LocationRow.__table__
        with self.database.engine.begin() as connection:
            connection.execute(update(row).where(row.c.image_id == image_id).values(created_at=LONG_AGO))

    def key(self, image_id: str, store: str = "one") -> str:
        return next(one.key for one in self.image(image_id).locations if one.store == store)

    def image(self, image_id: str):
        return self.database.find(image_id)

    def damage(self, image_id: str, data: bytes = DATA[::-1], store: str = "one") -> None:
        shelf = (self.one if store == "one" else self.two).shelf
        key = self.key(image_id, store)
        shelf.blobs[key] = (data, shelf.blobs[key][1])

    def quarantined(self) -> set[str]:
        found = set()
        for store in ("one", "two"):
            rows = self.database.scrubs.quarantined(store, datetime.datetime.now(datetime.UTC))
            found |= {copy.image_id for copy in rows}
        return found

    def findings(self, state: FindingState = FindingState.OPEN) -> set[tuple]:
        return {(one.kind, one.image_id) for one in self.database.findings(state).records}


def read(place: Place, image_id: str) -> bytes:
    with contextlib.closing(place.lifecycle.reading.open(place.image(image_id))) as reader:
        return b"".join(iter(lambda: reader.read(1 << 16), b""))
