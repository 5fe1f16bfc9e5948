"""Jobs wait for unavailable stores, and no thread waits with them (r1-H4)."""

from __future__ import annotations

import datetime
import itertools
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from calotype.images.lifecycle import Lifecycle
from calotype.model.change import Change
from calotype.model.fields import ImageFields
from calotype.model.jobs import JobStatus
from calotype.model.policy import Caller
from calotype.model.states import Status
from calotype.stores import BadLocation, StoreFull, Unavailable
from calotype.stores.errors import SourceBroken, SourceMismatch
from calotype.testing import Trickle
from calotype.transfers import outages
from core.tests.transfers.leaving import AWAY, DATA, LONG_AGO, Leaving, Outages
from tests.support.workbench import make_bench, make_catalog, make_settings

PATIENCE = 100.0


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
def test_a_job_waits_for_its_target_store_and_succeeds_when_the_store_returns(there: Outages, begin) -> None:
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
    assert (there.image().status, there.image().status_reason) == (Status.ACTIVE, None)
    assert "far" in there.stores_of(image)


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


def test_a_copy_is_made_from_another_store_if_the_first_one_is_away(there: Outages) -> None:
    """r1-H4: the image has a good copy in a store that answers."""
    image = there.copying("far")
    assert there.lifecycle.work()
    there.near.leave()
    there.copy(image, "web")
    assert there.lifecycle.work()
    assert there.stores_of(image) == {"near", "far", "web"}


def test_a_job_waits_for_a_source_that_breaks_off_in_the_middle_of_a_copy(
    there: Outages, monkeypatch
) -> None:
    """r1-H4: the target's driver sees a broken source, which is another store of ours."""
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


def test_no_process_takes_a_job_before_its_pause_is_over(there: Outages) -> None:
    """r1-H4"""
    there.copying("far")
    there.far.leave()
    assert there.lifecycle.work()
    tries = there.far.tries
    assert not there.lifecycle.work()
    assert there.far.tries == tries


def test_a_retry_while_the_store_is_still_away_leaves_nothing_to_sweep(there: Outages) -> None:
    """r1-H4: otherwise hours of waiting would leave a row for each retry."""
    image = there.copying("far")
    there.far.leave()
    assert there.lifecycle.work()
    left = len(there.bench.locations(image.id))
    for _ in range(5):
        assert there.work_when_due()
    assert there.job().is_open
    assert len(there.bench.locations(image.id)) == left


def test_other_jobs_are_done_while_one_waits_and_precede_its_retry(there: Outages) -> None:
    """r1-H4"""
    there.copying("far")
    there.far.leave()
    assert there.lifecycle.work()
    there.change_job(not_before=LONG_AGO)
    second = there.copying("web")

    assert there.lifecycle.work()

    assert there.stores_of(second) == {"near", "web"}


def test_a_project_with_a_running_job_comes_after_a_project_without_one(there: Outages) -> None:
    """r1-D5: many imports with a silent source do not keep out the imports of others."""
    admin = frozenset({"admin"})
    owners = [Caller(user="u", project=project, roles=admin) for project in ("a", "a", "b")]
    images = [there.upload(owner) for owner in owners]
    for image, owner in zip(images, owners, strict=True):
        there.copy(image, "far", caller=owner)
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

    copied = [image.id for image in images if len(there.stores_of(image)) == 2]
    release.set()
    busy.join()
    assert copied == [images[2].id]


def test_pauses_double_up_to_a_minute_and_add_up_to_the_patience(there: Outages) -> None:
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


def test_a_job_without_patience_fails_at_once(template: Path) -> None:
    """r1-H4: the setting is `calotype.job_patience = 0`."""
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
def test_a_permanent_error_ends_the_job(there: Outages, error) -> None:
    """r1-H4: a full store is not unavailable, and may never have room again."""
    there.copying("far")
    there.far.leave(error)
    assert there.lifecycle.work()
    assert there.job().status is JobStatus.FAILURE


def test_the_wait_for_an_external_source_has_a_shorter_limit(there: Outages) -> None:
    """r1-H4"""
    image = there.downloading()
    there.web.leave()
    assert there.lifecycle.work()
    reason = there.bench.database.find(image.id).status_reason
    assert (there.job().message, reason) == (f"waiting for store 'web': {AWAY}",) * 2
    there.change_job(outcome={"pending": ["near"], "failed": [], "waited": outages.SOURCE_PATIENCE})
    assert there.work_when_due()
    assert there.job().status is JobStatus.FAILURE


def test_an_external_source_without_the_bytes_ends_the_job(there: Outages) -> None:
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
    assert there.stores_of(image) == {"far", "web"}


def test_an_import_into_any_of_several_stores_continues_with_the_others_first(there: Outages) -> None:
    """r1-H4: the image is active as soon as one store has its bytes."""
    image = there.importing("far", "web", strict=False)
    there.far.leave()
    assert there.lifecycle.work()
    now = there.bench.database.find(image.id)
    assert (now.status, now.status_reason) == (Status.ACTIVE, None)
    assert [one.store for one in now.locations] == ["web"]
    assert there.job().pending == ("far",)
    there.far.away = None
    assert there.work_when_due()
    assert there.stores_of(image) == {"far", "web"}
    assert there.job().status is JobStatus.SUCCESS
    states = sorted(row.state for row in there.bench.locations(image.id))
    assert states == ["doomed", "stored", "stored"]  # a sweep removes the bytes of the first attempt


def test_a_store_that_failed_for_good_is_not_retried_with_a_store_that_waits(there: Outages) -> None:
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


def test_deleting_the_image_ends_the_wait_at_once(there: Outages) -> None:
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


def test_deleting_the_image_during_a_retry_ends_the_wait_at_once(there: Outages) -> None:
    """r1-H4"""
    image = there.importing("far")

    def deleted_meanwhile() -> Exception:
        there.lifecycle.delete(there.bench.database.find(image.id), there.bench.caller)
        return Unavailable("far", AWAY)

    there.far.leave(deleted_meanwhile)
    assert there.lifecycle.work()
    assert there.lifecycle.work()
    assert there.job().status is JobStatus.FAILURE


def test_a_job_whose_image_is_deleted_as_it_begins_reports_the_deletion(there: Outages) -> None:
    """r1-H13: the message used to contain only the id of the image."""
    image = there.importing("far")
    there.near.meanwhile = lambda: there.lifecycle.delete(
        there.bench.database.find(image.id), there.bench.caller
    )
    assert there.lifecycle.work()
    assert there.job().message == f"Image {image.id} was deleted."


def test_a_job_that_waits_outlives_its_process(there: Outages) -> None:
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
def test_a_wrong_clock_loses_no_job(there: Outages, days: int) -> None:
    """r1-H4: a next try that is later than the longest pause was written by a wrong clock."""
    there.copying("far")
    there.far.leave()
    assert there.lifecycle.work()
    moment = there.row().not_before + datetime.timedelta(days=days)
    there.change_job(not_before=moment, waiting_since=moment)
    there.far.away = None
    assert there.lifecycle.work()
    assert there.job().status is JobStatus.SUCCESS


def test_a_process_that_saw_a_job_before_it_was_put_off_cannot_claim_it(there: Outages) -> None:
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
def test_an_image_with_a_new_owner_does_not_get_bytes_that_its_former_owner_chose(
    there: Outages, begin, after: Status, when: str
) -> None:
    """The new owner would boot bytes that another project has named. (r1-C2)"""
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
