"""A service without HTTP: a real SQLite database on disk, a store in memory, and the verbs over both."""

from __future__ import annotations

import contextlib
import datetime
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sqlalchemy import event, select

from calotype.config.settings import Settings
from calotype.database import migrate
from calotype.database.database import Database
from calotype.database.engine import build_engine
from calotype.database.pages import ImagePage
from calotype.database.queries import position
from calotype.database.tables import ImageRow, LocationRow
from calotype.database.unit_of_work import Unit
from calotype.extensions import load_extensions
from calotype.images.lifecycle import Lifecycle
from calotype.model.change import Change
from calotype.model.fields import ImageFields
from calotype.model.images import Image
from calotype.model.policy import Caller
from calotype.model.queries import ImageQuery, Scope
from calotype.model.states import Status
from calotype.model.uploads import Lease, UploadAttempt
from calotype.service import Service
from calotype.stores import BlobNotFound, Reader, Store, Stored
from calotype.stores.catalog import Catalog, Entry
from calotype.stores.checked import CheckedStore
from calotype.stores.discovery import Driver
from calotype.testing import Trickle
from calotype.testing.memory import MemoryStore
from calotype.transfers.places import Places
from calotype.transfers.probes import Probes
from calotype.transfers.readers import Announced

#: The owner of leases that tests write into the database.
OWNER = "tests"
CALLER = Caller(user=None, project="default", roles=frozenset({"admin"}))


def make_settings(**values: Any) -> Settings:
    """Return settings with these values, and a database URL that is never opened."""
    return Settings(**{"database_url": "sqlite://", **values})


def make_database(path: Path, *branches: migrate.Branch) -> Path:
    """Make a database with the newest schema of the core and of these branches, and close its connections."""
    engine = build_engine(f"sqlite:///{path}")
    migrate.upgrade(engine, [migrate.CORE, *branches])
    engine.dispose()
    return path


def open_database(path: Path, **options: Any) -> Database:
    return Database(build_engine(f"sqlite:///{path}", **options))


def make_catalog(*drivers: Store, default: str | None = None) -> Catalog:
    entries = {
        driver.name: Entry(CheckedStore(driver), Driver(driver.name, type(driver), "tests", "1"))
        for driver in drivers
    }
    return Catalog(entries, default or drivers[0].name)


class Moody(MemoryStore):
    """A MemoryStore that fails on demand: `failing` maps a method to the error that it raises once.

    With `late`, `add` fails after it has stored the bytes, like a store whose response is lost.
    """

    def __init__(self, name: str = "memory", options: MemoryStore.Options | None = None):
        super().__init__(name, options or MemoryStore.Options())
        self.failing: dict[str, BaseException] = {}
        self.late = False

    def add(self, key: str, source: Reader, size: int | None = None) -> Stored:
        error = self.failing.pop("add", None)
        if error is not None and not self.late:
            raise error
        stored = super().add(key, source, size)
        if error is not None:
            raise error
        return stored

    def delete(self, location: str) -> None:
        self._fail("delete")
        super().delete(location)

    def discard(self, key: str) -> None:
        self._fail("discard")
        with contextlib.suppress(BlobNotFound):
            super().discard(key)

    def _fail(self, method: str) -> None:
        error = self.failing.pop(method, None)
        if error is not None:
            raise error


def begin_upload(unit: Unit, image_id: str, key: str, store: str) -> None:
    """Record an upload attempt, as an upload does when it begins."""
    now = datetime.datetime.now(datetime.UTC)
    image = Image(image_id, Status.QUEUED, now, now)
    lease = Lease(OWNER, now + datetime.timedelta(minutes=1))
    unit.begin_upload(UploadAttempt(image, key, store, None, Status.KILLED), lease)


@dataclass
class Bench:
    """A database, a store and the verbs over them, with direct access to rows and blobs."""

    path: Path
    database: Database
    store: Moody
    stores: Catalog
    settings: Settings
    lifecycle: Lifecycle
    caller: Caller = field(default=CALLER)

    def __post_init__(self) -> None:
        # Start counting the project's usage now, so that tests that count commits do not see this one.
        self.database.start_usage(self.caller.project)

    @property
    def service(self) -> Service:
        """The service made of these parts."""
        places = Places(self.database, self.stores)
        probes = Probes(self.database, self.stores, self.settings)
        extensions = load_extensions(self.settings)
        return Service(self.settings, self.database, self.stores, self.lifecycle, places, probes, extensions)

    def row(self, image_id: str) -> ImageRow:
        """Return the image's row, which may be a tombstone."""
        with self.database.engine.connect() as connection:
            return connection.execute(select(ImageRow.__table__).where(ImageRow.id == image_id)).one()

    def status(self, image_id: str) -> Status:
        return Status(self.row(image_id).status)

    def locations(self, image_id: str | None = None) -> list[Any]:
        """Return all location rows, or those of one image, in any state."""
        rows = select(LocationRow.__table__)
        if image_id is not None:
            rows = rows.where(LocationRow.image_id == image_id)
        with self.database.engine.connect() as connection:
            return list(connection.execute(rows).all())

    def images(self) -> list[str]:
        with self.database.engine.connect() as connection:
            return list(connection.execute(select(ImageRow.id)).scalars())

    @property
    def blobs(self) -> dict[str, bytes]:
        """The blobs in the store: location -> bytes."""
        return {f"blob:{key}": data for key, (data, _) in self.store.shelf.blobs.items()}

    def reserve(self, draft: ImageFields | None = None) -> Image:
        """Make a queued image."""
        return self.lifecycle.reserve(Change(self.caller, draft or ImageFields()))

    def upload(self, source: Reader | bytes, draft: ImageFields | None = None) -> Image:
        """Upload these bytes as a new image. They arrive a few at a time."""
        reader = Trickle(source) if isinstance(source, bytes) else source
        return self.lifecycle.upload(Change(self.caller, draft or ImageFields()), Announced(reader))

    def update(self, image: Image, draft: ImageFields) -> Image:
        return self.lifecycle.update(Change(self.caller, draft, image))

    def page(self, limit: int, after: Image | None = None) -> ImagePage:
        """Return a page of the public images, oldest first."""
        listing = ImageQuery(Scope.PUBLIC, limit=limit)
        behind = None if after is None else position(after, listing.sort)
        return self.database.page(replace(listing, after=behind))

    def read(self, image: Image) -> bytes:
        reader = self.lifecycle.reading.open(image)
        try:
            return b"".join(iter(lambda: reader.read(1 << 16), b""))
        finally:
            reader.close()

    def raw(self) -> sqlite3.Connection:
        """Return a new connection to the database, as another program would open it; the caller closes it."""
        return sqlite3.connect(self.path, timeout=0, isolation_level=None, check_same_thread=False)


@contextlib.contextmanager
def make_bench(
    template: Path, store: Moody | None = None, settings: Settings | None = None, **options: Any
) -> Iterator[Bench]:
    """Make a bench for the block, with a copy of the database file `template`."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(shutil.copy(template, Path(directory) / "registry.sqlite"))
        database = open_database(path, **options)
        # Do not wait for the disk, because no data has to survive the test.
        event.listen(database.engine, "connect", lambda raw, _: raw.execute("PRAGMA synchronous = OFF"))
        store, settings = store or Moody(), settings or make_settings()
        stores = make_catalog(store)
        lifecycle = Lifecycle(database, stores, settings)
        try:
            yield Bench(path, database, store, stores, settings, lifecycle)
        finally:
            lifecycle.close()
            database.close()
