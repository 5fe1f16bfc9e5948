"""Reading jobs: pages of all jobs, by each sort key and with each filter."""

from __future__ import annotations

import contextlib
import datetime
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import event, update

from calotype.database.jobs import job_position
from calotype.database.tables import JobRow
from calotype.model.audit import Actor
from calotype.model.fields import new_id
from calotype.model.jobs import Job, JobKind, JobStatus
from calotype.model.queries import JobQuery, SortKey
from tests.support.workbench import Bench, make_bench

EPOCH = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
KEYS = ("id", "status", "makes_image", "created_at", "updated_at")
JOBS = st.lists(st.tuples(st.integers(0, 2), st.sampled_from(JobStatus), st.booleans()), max_size=12)


def fill(bench: Bench, jobs: list[tuple[int, JobStatus, bool]]) -> None:
    """Add jobs of one image, each with its second of creation, its status, and whether it makes an image."""
    image_id = new_id()
    with bench.database.unit() as unit:
        unit.add_image(image_id, {}, {})
        image = unit.image(image_id)
        made = [
            unit.add_job(JobKind.FETCH, image, {"asked": {}} if makes else {}, Actor())
            for _, _, makes in jobs
        ]
    with bench.database.engine.begin() as connection:
        for job_id, (second, status, _) in zip(made, jobs, strict=True):
            at = EPOCH + datetime.timedelta(seconds=second)
            values = {"status": status, "created_at": at, "updated_at": at}
            connection.execute(update(JobRow).where(JobRow.id == job_id).values(values))


def walk(bench: Bench, limit: int, **asked: object) -> list[Job]:
    """Return the jobs of all pages of a listing."""
    seen: list[Job] = []
    after = None
    while True:
        page = bench.database.job_page(JobQuery(limit=limit, after=after, **asked))
        seen += page.records
        if not page.more:
            return seen
        assert len(page.records) == limit
        after = job_position(page.records[-1], JobQuery(**asked).sort)


@pytest.mark.parametrize("key", KEYS)
@settings(max_examples=15)
@given(jobs=JOBS, limit=st.integers(1, 5), descending=st.booleans())
def test_pages_by_any_key_neither_repeat_nor_skip(template, key, jobs, limit, descending) -> None:
    with make_bench(template) as bench:
        fill(bench, jobs)
        sort = tuple(SortKey(name, descending) for name in dict.fromkeys((key, "created_at", "id")))

        seen = walk(bench, limit, sort=sort)

        assert len({job.id for job in seen}) == len(seen) == len(jobs)
        order = [tuple(getattr(job, one.field) for one in sort) for job in seen]
        assert order == sorted(order, reverse=descending)


def test_a_list_has_only_the_jobs_with_the_requested_status_and_kind(bench: Bench) -> None:
    every = list(itertools.product([0, 1], JobStatus, [False, True]))
    fill(bench, every)

    for status, makes in itertools.product([None, *JobStatus], [None, False, True]):
        listed = walk(bench, 3, status=status, makes_image=makes)
        wanted = [job for job in every if status in (None, job[1]) and makes in (None, job[2])]
        assert len(listed) == len(wanted)
        assert {job.status for job in listed} == {job[1] for job in wanted}
        assert {job.makes_image for job in listed} == {job[2] for job in wanted}


def test_a_job_is_found_by_its_id(bench: Bench) -> None:
    fill(bench, [(0, JobStatus.SUCCESS, True), (1, JobStatus.FAILURE, False)])
    for job in walk(bench, 5):
        assert bench.database.find_job(job.id) == job
    assert bench.database.find_job(new_id()) is None


@pytest.mark.parametrize("paged", [False, True])
def test_a_page_by_time_reads_the_index_of_each_status(bench: Bench, paged: bool) -> None:
    fill(bench, [(second, status, False) for second in range(20) for status in JobStatus])
    last = bench.database.job_page(JobQuery(limit=5)).records[-1]
    after = job_position(last, JobQuery().sort) if paged else None
    statements = []

    def note(connection, cursor, statement, parameters, context, many):
        statements.append((statement, parameters))

    event.listen(bench.database._reading, "before_cursor_execute", note)
    bench.database.job_page(JobQuery(limit=5, after=after))
    ((sql, values),) = [one for one in statements if "ORDER BY" in one[0]]
    with contextlib.closing(bench.raw()) as raw:
        plan = [row[3] for row in raw.execute(f"EXPLAIN QUERY PLAN {sql}", values)]

    assert [step for step in plan if step.startswith("SCAN jobs")] == []
    assert len([step for step in plan if "ix_jobs_open (status=?" in step]) == 4
