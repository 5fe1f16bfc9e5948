"""Jobs whose copies the backend makes itself: the records, leases and limits are those of any copy."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import delete

from calotype.database.tables import JobRow
from calotype.images.lifecycle import Lifecycle
from calotype.model.errors import TakenOver
from calotype.model.jobs import JobStatus
from calotype.stores import BlobChanged, BlobNotFound, Store, Stored, StoreFull
from calotype.transfers.leases import LeaseMonitor
from core.tests.transfers.leaving import AWAY, DATA, Leaving, Outages
from tests.support.workbench import Bench, make_bench, make_catalog, make_settings

LIMIT = 3 * len(DATA)


class Cloud(Leaving):
    """A store that copies blobs of its own kind without reading them."""

    def __init__(self, name: str):
        super().__init__(name)
        self.can_copy = True
        self.copied: list[str] = []
        #: Called when the copy is complete, before the driver returns.
        self.afterwards: Callable[[], object] = lambda: None

    def copy_from(self, key: str, source: Store, location: str, size: int) -> Stored | None:
        self._answer()
        if not self.can_copy or not isinstance(source, Cloud):
            return None
        source.check()
        with self.shelf.lock:
            self._keep(key, source._held(location))
        self.copied.append(key)
        self.afterwards()
        return Stored(self.locate(key), size)


def never() -> None:
    raise AssertionError("the bytes were read")


@pytest.fixture
def bench(template: Path) -> Iterator[Bench]:
    with make_bench(template) as made:
        yield made


def make_there(bench: Bench, **settings: object) -> Outages:
    near, far, web = Cloud("near"), Cloud("far"), Cloud("web")
    given = {"job_patience": 100.0, "default_store": "near", "project_bytes": LIMIT, **settings}
    lifecycle = Lifecycle(bench.database, make_catalog(near, far, web), make_settings(**given))
    return Outages(bench, near, far, web, lifecycle)


@pytest.fixture
def there(bench: Bench) -> Iterator[Outages]:
    """Stores of one backend, and a limit of three copies."""
    made = make_there(bench)
    yield made
    made.lifecycle.close()


def used(there: Outages) -> int:
    """Return the bytes that count against the project's limit."""
    return there.bench.database.usage(there.bench.caller.project).bytes


def forget_jobs(there: Outages) -> None:
    with there.bench.database.engine.begin() as connection:
        connection.execute(delete(JobRow))


def held(store: Cloud) -> list[bytes]:
    return [data for data, _ in store.shelf.blobs.values()]


def test_a_copy_inside_the_backend_has_the_image_s_digests_and_counts_against_the_limit(
    there: Outages,
) -> None:
    before = there.copying("far")
    there.near.meanwhile = never
    assert there.lifecycle.work()

    image = there.image()
    assert there.job().status is JobStatus.SUCCESS
    assert there.stores_of(image) == {"near", "far"}
    assert replace(image, locations=(), has_jobs=False) == replace(before, locations=())
    assert held(there.far) == [DATA]
    assert [one.key for one in image.locations if one.store == "far"] == there.far.copied
    assert used(there) == 2 * len(DATA)


def test_a_driver_that_cannot_copy_gets_the_bytes(there: Outages) -> None:
    image = there.copying("far")
    there.far.can_copy = False
    assert there.lifecycle.work()

    assert there.stores_of(image) == {"near", "far"}
    assert held(there.far) == [DATA]
    assert there.far.copied == []


def test_a_copy_without_room_fails_the_job_and_gives_its_bytes_back(there: Outages) -> None:
    image = there.copying("far")

    def full() -> None:
        raise StoreFull("far", "it is full")

    there.far.afterwards = full
    assert there.lifecycle.work()

    assert (there.job().status, there.job().message) == (JobStatus.FAILURE, "store 'far': it is full")
    assert there.stores_of(image) == {"near"}
    assert held(there.far) == []
    assert used(there) == len(DATA)


def test_a_copy_over_the_project_s_limit_is_not_begun(there: Outages) -> None:
    first = there.copying("far")
    assert there.lifecycle.work()
    there.upload()
    there.far.copied.clear()
    forget_jobs(there)
    there.copy(first, "web")
    assert there.lifecycle.work()

    assert there.job().status is JobStatus.FAILURE
    assert there.web.copied == []
    assert used(there) == LIMIT


def test_an_image_that_is_deleted_meanwhile_keeps_no_copy(there: Outages) -> None:
    image = there.copying("far")
    there.far.afterwards = lambda: there.lifecycle.delete(image, there.bench.caller)
    assert there.lifecycle.work()

    assert there.job().status is JobStatus.FAILURE
    assert "deleted" in there.job().message
    assert held(there.far) == held(there.near) == []
    assert used(there) == 0


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (BlobNotFound("near", "there is no such object"), "missing"),
        (BlobChanged("near", "the object was replaced"), "wrong size"),
    ],
)
def test_a_bad_original_is_reported_and_the_copy_is_made_from_another(
    there: Outages, error: Exception, kind: str
) -> None:
    image = there.copying("web")
    assert there.lifecycle.work()
    forget_jobs(there)
    really, sources = there.far.copy_from, []

    def copy_from(key: str, source: Store, location: str, size: int) -> Stored | None:
        sources.append(source.name)
        if source is there.near:
            raise error
        return really(key, source, location, size)

    there.far.copy_from = copy_from
    there.copy(image, "far")
    assert there.lifecycle.work()

    assert sources == ["near", "web"]
    assert there.job().status is JobStatus.SUCCESS
    assert there.stores_of(image) == {"near", "far", "web"}
    assert [(one.store, one.kind) for one in there.bench.database.findings().records] == [("near", kind)]


@pytest.mark.parametrize("who", ["near", "far"])
def test_a_copy_waits_for_its_stores(there: Outages, who: str) -> None:
    there.copying("far")
    away = getattr(there, who)
    away.leave()
    assert there.lifecycle.work()
    assert there.job().message == f"waiting for store '{who}': {AWAY}"

    away.away = None
    assert there.work_when_due()
    assert there.job().status is JobStatus.SUCCESS
    assert len(there.far.copied) == 1
    assert held(there.far) == [DATA]


def test_a_copy_that_a_sweep_took_over_is_started_again(
    there: Outages, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = there.copying("far")

    def swept() -> None:
        there.far.afterwards = lambda: None
        with monkeypatch.context() as impatient:
            impatient.setattr(LeaseMonitor, "expired", lambda watch, ends: set(ends))
            assert there.lifecycle.sweep().ended == 1

    there.far.afterwards = swept
    with pytest.raises(TakenOver):
        there.lifecycle.work()
    assert there.stores_of(image) == {"near"}
    assert used(there) == len(DATA)

    with monkeypatch.context() as impatient:
        impatient.setattr(LeaseMonitor, "expired", lambda watch, ends: set(ends))
        assert there.lifecycle.work()
    assert there.stores_of(image) == {"near", "far"}
    assert held(there.far) == [DATA]


def test_the_lease_of_a_long_copy_is_renewed(bench: Bench) -> None:
    there = make_there(bench, lease=1)
    other = Lifecycle(bench.database, make_catalog(there.near, there.far), make_settings(lease=1))

    def last() -> None:
        ends = time.monotonic() + 3
        while time.monotonic() < ends:
            assert other.sweep().ended == 0
            time.sleep(0.1)

    there.far.afterwards = last
    image = there.copying("far")
    assert there.lifecycle.work()
    there.lifecycle.close()
    other.close()

    assert there.job().status is JobStatus.SUCCESS
    assert there.stores_of(image) == {"near", "far"}


def test_a_copy_that_replaces_a_bad_one_is_read_and_hashed(there: Outages) -> None:
    """A copy inside the backend would also copy bytes that rot, and the bad copy would be gone."""
    there.copying("far")
    assert there.lifecycle.work()
    there.far.copied.clear()
    image = there.image()
    bad = next(one for one in image.locations if one.store == "far")
    transfers, stores = there.lifecycle._transfers, there.lifecycle._stores
    transfers.copy(image, stores["far"], instead_of=bad)
    assert there.far.copied == []

    there.near.shelf.blobs[image.locations[0].key] = (DATA[::-1], time.time())
    bad = next(one for one in there.image().locations if one.store == "far")
    with pytest.raises(BlobChanged):
        transfers.copy(there.image(), stores["far"], instead_of=bad)
    assert held(there.far) == [DATA]
