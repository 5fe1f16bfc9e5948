"""Jobs wait for stores that are away, and no thread waits with them (r1-H4)."""

from __future__ import annotations

import contextlib
import datetime
import itertools
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from calotype.database.tables import JobRow
from calotype.images.imports import ImportRequest, Origin
from calotype.images.lifecycle import Lifecycle
from calotype.model.audit import Actor
from calotype.model.change import Change
from calotype.model.changes import ImageFields
from calotype.model.images import Image, Status
from calotype.model.jobs import Job, JobKind, JobStatus
from calotype.model.policy import Caller
from calotype.stores import BadLocation, BlobNotFound, Reader, Stored, StoreFull, Unavailable
from calotype.stores.errors import SourceBroken, SourceMismatch
from calotype.testing import Trickle
from calotype.testing.memory import MemoryStore
from calotype.transfers import outages
from calotype.transfers.jobs import JobSpec
from calotype.transfers.readers import Announced
from tests.support.workbench import Bench, make_bench, make_catalog, make_settings

DATA = b"bytes of an image" * 100
PATIENCE = 100.0
AWAY = "it cannot be connected to"


class Leaving(MemoryStore):
    """A store that is away whenever it is told to be."""

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
        self.away = error or (lambda: Unavailable(self.name, AWAY))

    def _answer(self) -> None:
        self.tries += 1
        if self.away is not None:
            raise self.away()


@dataclass
class Outages:
    """A bench with the stores `near`, `far` and `web`, of which any may be away."""

    bench: Bench
    near: Leaving
    far: Leaving
    web: Leaving
    lifecycle: Lifecycle

    def job(self) -> Job:
        """The only job there is."""
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
        """Do the job as soon as its pause is over."""
        self.change_job(not_before=datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC))
        return self.lifecycle.work()

    def image(self, **fields: Any) -> Image:
        return self.bench.database.find(self.job().image_id)

    def importing(self, *stores: str, strict: bool = True) -> Image:
        """An image whose staged bytes, in `near`, are being imported."""
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
        """An active image in `near` that is being copied."""
        image = self.lifecycle.upload(Change(self.bench.caller, ImageFields()), Announced(Trickle(DATA)))
        self.lifecycle.imports.submit(
            Change(self.bench.caller, ImageFields(), image), ImportRequest(Origin.COPY, stores)
        )
        return image

    def downloading(self) -> Image:
        """An image whose bytes are fetched from `web`, which belongs to others."""
        self.web.shelf.foreign["there"] = DATA
        location = MemoryStore.register(self.web, "memory:there").location
        image = self.lifecycle.reserve(Change(self.bench.caller, ImageFields()))
        order = JobSpec(("near",), source="web", location=location, size=len(DATA))
        with self.bench.database.unit() as unit:
            unit.add_job(JobKind.FETCH, image, order.to_json(), Actor())
        return image


@pytest.fixture
def there(template: Path) -> Iterator[Outages]:
    near, far, web = Leaving("near"), Leaving("far"), Leaving("web")
    settings = make_settings(job_patience=PATIENCE, default_store="near")
    with make_bench(template) as bench:
        lifecycle = Lifecycle(bench.database, make_catalog(near, far, web), settings)
        yield Outages(bench, near, far, web, lifecycle)
        lifecycle.close()


BEGIN = {
    "import": lambda there: there.importing("far"),
    "copy": lambda there: there.copying("far"),
}


@pytest.mark.parametrize("begin", BEGIN.values(), ids=BEGIN)
def test_a_job_waits_for_its_target_and_is_done_when_that_is_back(there: Outages, begin) -> None:
    """r1-H4"""
    image = begin(there)
    there.far.leave()

    assert there.lifecycle.work()
    job = there.job()
    assert (job.status, job.message) == (JobStatus.PENDING, f"waiting for store 'far': {AWAY}")
    assert (job.pending, job.failed) == (("far",), ())
    assert there.row().lease_owner is None
    assert job.waiting_since is not None

    there.far.away = None
    assert there.work_when_due()
    assert (there.job().status, there.job().message) == (JobStatus.SUCCESS, "")
    done = there.bench.database.find(image.id)
    assert (done.status, done.status_reason) == (Status.ACTIVE, None)
    assert "far" in {location.store for location in done.locations}


@pytest.mark.parametrize("begin", BEGIN.values(), ids=BEGIN)
def test_a_job_waits_for_the_store_it_reads_from(there: Outages, begin) -> None:
    """r1-H4"""
    begin(there)
    there.near.leave()
    assert there.lifecycle.work()
    assert there.job().message == f"waiting for store 'near': {AWAY}"
    there.near.away = None
    assert there.work_when_due()
    assert there.job().status is JobStatus.SUCCESS


def test_a_copy_turns_to_another_store_when_the_first_one_is_away(there: Outages) -> None:
    """r1-H4: the image has a good copy in a store that answers."""
    image = there.copying("far")
    assert there.lifecycle.work()
    there.near.leave()
    there.lifecycle.imports.submit(
        Change(there.bench.caller, ImageFields(), there.bench.database.find(image.id)),
        ImportRequest(Origin.COPY, ("web",)),
    )
    assert there.lifecycle.work()
    held = {location.store for location in there.bench.database.find(image.id).locations}
    assert held == {"near", "far", "web"}


def test_a_source_that_breaks_off_in_mid_copy_is_waited_for(there: Outages, monkeypatch) -> None:
    """r1-H4: the target's driver sees a source that failed, and it is a store of ours that did."""
    there.copying("far")

    class Breaking(Trickle):
        def read(self, size: int = -1, /) -> bytes:
            raise Unavailable("near", AWAY)

    with monkeypatch.context() as broken:
        broken.setattr(there.near, "get", lambda *_: Breaking(DATA))
        assert there.lifecycle.work()
    assert there.job().message == f"waiting for store 'near': {AWAY}"
    assert there.work_when_due()
    assert there.job().status is JobStatus.SUCCESS


def test_nobody_takes_a_job_before_its_pause_is_over(there: Outages) -> None:
    """r1-H4"""
    there.copying("far")
    there.far.leave()
    assert there.lifecycle.work()
    tries = there.far.tries
    assert not there.lifecycle.work()
    assert there.far.tries == tries


def test_a_try_while_the_store_is_still_away_leaves_nothing_to_sweep(there: Outages) -> None:
    """r1-H4: hours of waiting would leave a row for each try otherwise."""
    image = there.copying("far")
    there.far.leave()
    assert there.lifecycle.work()
    left = len(there.bench.locations(image.id))
    for _ in range(5):
        assert there.work_when_due()
    assert there.job().is_open
    assert len(there.bench.locations(image.id)) == left


def test_other_jobs_are_done_while_one_waits_and_go_before_it(there: Outages) -> None:
    """r1-H4"""
    first = there.lifecycle.upload(Change(there.bench.caller, ImageFields()), Announced(Trickle(DATA)))
    there.lifecycle.imports.submit(
        Change(there.bench.caller, ImageFields(), first), ImportRequest(Origin.COPY, ("far",))
    )
    there.far.leave()
    assert there.lifecycle.work()
    there.change_job(not_before=datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC))
    second = there.lifecycle.upload(Change(there.bench.caller, ImageFields()), Announced(Trickle(DATA)))
    there.lifecycle.imports.submit(
        Change(there.bench.caller, ImageFields(), second), ImportRequest(Origin.COPY, ("web",))
    )

    assert there.lifecycle.work()

    assert {location.store for location in there.bench.database.find(second.id).locations} == {"near", "web"}


def test_a_project_with_a_running_job_comes_after_one_without(there: Outages) -> None:
    """r1-D5: many imports whose source says nothing do not keep out those of others."""
    admin = frozenset({"admin"})
    owners = [Caller(user="u", project=project, roles=admin) for project in ("a", "a", "b")]
    images = [
        there.lifecycle.upload(Change(owner, ImageFields()), Announced(Trickle(DATA))) for owner in owners
    ]
    for image, owner in zip(images, owners, strict=True):
        there.lifecycle.imports.submit(
            Change(owner, ImageFields(), image), ImportRequest(Origin.COPY, ("far",))
        )
    began, release = threading.Event(), threading.Event()

    def hang() -> None:
        there.near.meanwhile = lambda: None
        began.set()
        release.wait(30)

    there.near.meanwhile = hang
    busy = threading.Thread(target=there.lifecycle.work)
    busy.start()
    assert began.wait(30)

    assert there.lifecycle.work()

    copied = [image.id for image in images if len(there.bench.database.find(image.id).locations) == 2]
    release.set()
    busy.join()
    assert copied == [images[2].id]


def test_pauses_double_up_to_a_minute_and_their_sum_is_the_patience(there: Outages) -> None:
    """r1-H4"""
    there.copying("far")
    there.far.leave()
    pauses = []
    while there.job().is_open:
        before = there.job().waited
        assert there.work_when_due() if pauses else there.lifecycle.work()
        if there.job().is_open:
            pauses.append(there.job().waited - before)

    assert 1 <= pauses[0] <= 1.25
    assert all(later > earlier for earlier, later in itertools.pairwise(pauses[:-1]))
    assert max(pauses) <= outages.LONGEST
    assert sum(pauses) == pytest.approx(PATIENCE)
    job = there.job()
    assert (job.status, job.message) == (JobStatus.FAILURE, f"store 'far': {AWAY}")
    assert (job.failed, job.waiting_since) == (("far",), None)


def test_a_job_that_may_not_wait_fails_at_once(template: Path) -> None:
    """r1-H4: `calotype.job_patience = 0`."""
    near, far = Leaving("near"), Leaving("far")
    with make_bench(template) as bench:
        lifecycle = Lifecycle(bench.database, make_catalog(near, far), make_settings(job_patience=0))
        there = Outages(bench, near, far, far, lifecycle)
        there.copying("far")
        far.leave()
        assert lifecycle.work()
        assert there.job().status is JobStatus.FAILURE
        lifecycle.close()


FINAL = {
    "full": lambda: StoreFull("far", "it is full"),
    "refused": lambda: BadLocation("far", "not so"),
    "mismatch": lambda: SourceMismatch("other bytes"),
    "broken": lambda: SourceBroken("half of it came"),
    "bug": lambda: RuntimeError("a driver's"),
}


@pytest.mark.parametrize("error", FINAL.values(), ids=FINAL)
def test_what_does_not_pass_by_itself_is_final(there: Outages, error) -> None:
    """r1-H4: a full store is not away; nobody knows whether it will ever have room."""
    there.copying("far")
    there.far.leave(error)
    assert there.lifecycle.work()
    assert there.job().status is JobStatus.FAILURE


def test_a_source_outside_is_waited_for_within_a_shorter_bound(there: Outages) -> None:
    """r1-H4"""
    image = there.downloading()
    there.web.leave()
    assert there.lifecycle.work()
    reason = there.bench.database.find(image.id).status_reason
    assert (there.job().message, reason) == (f"waiting for store 'web': {AWAY}",) * 2
    there.change_job(outcome={"pending": ["near"], "failed": [], "waited": outages.SOURCE_PATIENCE})
    assert there.work_when_due()
    assert there.job().status is JobStatus.FAILURE


def test_a_source_outside_that_does_not_have_it_is_final(there: Outages) -> None:
    """r1-H4"""
    there.downloading()
    del there.web.shelf.foreign["there"]
    assert there.lifecycle.work()
    assert there.job().status is JobStatus.FAILURE


def test_an_import_into_all_of_several_stores_waits_for_the_one_that_is_away(there: Outages) -> None:
    """r1-H4"""
    image = there.importing("far", "web", strict=True)
    there.far.leave()
    assert there.lifecycle.work()
    assert there.bench.database.find(image.id).status is Status.IMPORTING
    assert there.job().pending == ("far", "web")
    there.far.away = None
    assert there.work_when_due()
    assert {one.store for one in there.bench.database.find(image.id).locations} == {"far", "web"}


def test_an_import_into_any_of_several_stores_goes_on_with_the_others_and_comes_back(there: Outages) -> None:
    """r1-H4: the image is active as soon as one store has it."""
    image = there.importing("far", "web", strict=False)
    there.far.leave()
    assert there.lifecycle.work()
    now = there.bench.database.find(image.id)
    assert (now.status, now.status_reason) == (Status.ACTIVE, None)
    assert [one.store for one in now.locations] == ["web"]
    assert there.job().pending == ("far",)
    there.far.away = None
    assert there.work_when_due()
    assert {one.store for one in there.bench.database.find(image.id).locations} == {"far", "web"}
    assert there.job().status is JobStatus.SUCCESS
    states = sorted(row.state for row in there.bench.locations(image.id))
    assert states == ["doomed", "stored", "stored"]  # what the first try may have left is for a sweep


def test_what_failed_for_good_is_not_tried_again_with_what_waits(there: Outages) -> None:
    """r1-H4"""
    there.importing("far", "web", strict=False)
    there.far.leave()
    there.web.leave(lambda: StoreFull("web", "it is full"))
    assert there.lifecycle.work()
    assert (there.job().pending, there.job().failed) == (("far",), ("web",))
    there.far.away = there.web.away = None
    assert there.work_when_due()
    job = there.job()
    assert (job.status, job.failed, job.message) == (
        JobStatus.FAILURE,
        ("web",),
        "store 'web': it is full",
    )
    assert there.image().status is Status.ACTIVE


def test_a_deletion_of_the_image_ends_the_wait_at_once(there: Outages) -> None:
    """r1-H4"""
    image = there.importing("far")
    there.far.leave()
    assert there.lifecycle.work()
    there.lifecycle.delete(there.bench.database.find(image.id), there.bench.caller)
    assert there.lifecycle.work()
    assert (there.job().status, there.job().message) == (
        JobStatus.FAILURE,
        f"Image {image.id} was deleted.",
    )
    assert {row.store: row.state for row in there.bench.locations(image.id)} == {"far": "doomed"}


def test_a_deletion_while_a_store_is_tried_ends_the_wait_at_once(there: Outages) -> None:
    """r1-H4"""
    image = there.importing("far")

    def deleted_meanwhile() -> Exception:
        there.lifecycle.delete(there.bench.database.find(image.id), there.bench.caller)
        return Unavailable("far", AWAY)

    there.far.leave(deleted_meanwhile)
    assert there.lifecycle.work()
    assert there.lifecycle.work()
    assert there.job().status is JobStatus.FAILURE


def test_a_job_whose_image_is_deleted_as_it_begins_says_so(there: Outages) -> None:
    """r1-H13: its message was the id of the image and nothing else."""
    image = there.importing("far")
    there.near.meanwhile = lambda: there.lifecycle.delete(
        there.bench.database.find(image.id), there.bench.caller
    )
    assert there.lifecycle.work()
    assert there.job().message == f"Image {image.id} was deleted."


def test_a_job_that_waits_survives_the_process(there: Outages) -> None:
    """r1-H4"""
    there.copying("far")
    there.far.leave()
    assert there.lifecycle.work()
    there.far.away = None
    other = Lifecycle(there.bench.database, make_catalog(there.near, there.far, there.web), make_settings())
    there.lifecycle = other
    assert there.work_when_due()
    assert there.job().status is JobStatus.SUCCESS
    other.close()


@pytest.mark.parametrize("days", [-1, 1], ids=["behind", "ahead"])
def test_a_clock_that_is_wrong_loses_no_job(there: Outages, days: int) -> None:
    """r1-H4: a moment that lies beyond the longest pause was written down by a clock that is wrong."""
    there.copying("far")
    there.far.leave()
    assert there.lifecycle.work()
    moment = there.row().not_before + datetime.timedelta(days=days)
    there.change_job(not_before=moment, waiting_since=moment)
    there.far.away = None
    assert there.lifecycle.work()
    assert there.job().status is JobStatus.SUCCESS


def test_who_saw_a_job_before_it_was_put_off_does_not_take_it(there: Outages) -> None:
    """r1-H4"""
    there.copying("far")
    now = datetime.datetime.now(datetime.UTC)
    later = now + datetime.timedelta(minutes=1)
    (seen,) = there.bench.database.open_jobs(10, now, later)
    there.far.leave()
    assert there.lifecycle.work()
    with there.bench.database.unit() as unit:
        assert not unit.claim_job(seen, "another", later)
        assert not unit.claim_job(replace(seen, not_before=later), "another", later)


GIVE_AWAY = {
    "import": (lambda there: there.importing("far"), Status.QUEUED),
    "download": (lambda there: there.downloading(), Status.KILLED),
}


@pytest.mark.parametrize("when", ["before the job", "while its bytes are read"])
@pytest.mark.parametrize(("begin", "after"), GIVE_AWAY.values(), ids=GIVE_AWAY)
def test_an_image_that_is_given_away_does_not_get_the_bytes_that_its_owner_before_chose(
    there: Outages, begin, after: Status, when: str
) -> None:
    """The project that has it now would boot what another one has named. (r1-C2)"""
    image = begin(there)
    giver = Caller("root", "default", frozenset({"admin"}))

    def give_away() -> None:
        there.lifecycle.update(Change(giver, ImageFields(fields={"owner": "other"}), there.image()))

    if when == "before the job":
        give_away()
    else:
        there.near.meanwhile = there.web.meanwhile = give_away
    assert there.lifecycle.work()

    assert there.job().status is JobStatus.FAILURE
    assert "given to another project" in there.job().message
    found = there.image()
    assert (found.id, found.owner, found.status) == (image.id, "other", after)
    assert found.locations == ()
