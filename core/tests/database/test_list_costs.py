"""The costs of lists: statements, their length, and the rows that they read."""

from __future__ import annotations

import contextlib
import datetime
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import event, select

from calotype.database import keysets, queries
from calotype.database.pages import AT_ONCE
from calotype.database.tables import JobRow
from calotype.images.members import MemberSpec
from calotype.model.audit import Actor
from calotype.model.change import Change
from calotype.model.fields import ImageFields, new_id
from calotype.model.images import Image, Visibility
from calotype.model.queries import Condition, ImageQuery, Scope, SortKey
from calotype.model.states import Status
from tests.support.workbench import Bench, make_bench

FIELDS = ("name", "status", "container_format", "disk_format", "size", "id", "created_at", "updated_at")
EPOCH = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


@contextlib.contextmanager
def statements(bench: Bench) -> Iterator[list[tuple[str, Any]]]:
    """Note the statements that read the database, with their values."""
    noted: list[tuple[str, Any]] = []

    def note(connection: Any, cursor: Any, statement: str, values: Any, context: Any, many: bool) -> None:
        noted.append((statement, values))

    event.listen(bench.database._reading, "before_cursor_execute", note)
    try:
        yield noted
    finally:
        event.remove(bench.database._reading, "before_cursor_execute", note)


def fill(bench: Bench, names: list[str]) -> list[Image]:
    """Add public images with these names, and return them oldest first."""
    ids = [new_id() for _ in names]
    with bench.database.unit() as unit:
        for second, (image_id, name) in enumerate(zip(ids, names, strict=True)):
            unit.add_image(image_id, {"visibility": Visibility.PUBLIC, "name": name}, {"p": "v"})
            unit.change(image_id, {Status.QUEUED}, {"created_at": EPOCH + datetime.timedelta(seconds=second)})
    return [bench.database.find(image_id) for image_id in ids]


def ids(bench: Bench, **asked: Any) -> list[str]:
    return [image.id for image in bench.database.page(ImageQuery(Scope.PUBLIC, **asked)).images]


def test_the_condition_of_a_marker_has_two_comparisons_for_each_key(bench: Bench) -> None:
    """r1-D1: a further key adds two comparisons, however many keys there are."""
    (image,) = fill(bench, ["n"])
    lengths = []
    for count in range(1, len(FIELDS) + 1):
        sort = [SortKey(name) for name in FIELDS[:count]]
        condition = keysets.follows(queries._SORTED, sort, queries.position(image, sort))
        lengths.append(len(re.findall(r" (?:[<>]=?|=) ", str(condition))))
    assert lengths == [2 * count for count in range(1, len(FIELDS) + 1)]


@settings(max_examples=12)
@given(
    names=st.lists(st.sampled_from("ab"), min_size=1, max_size=8),
    keys=st.lists(st.sampled_from(["name", "size", "status"]), unique=True),
    descending=st.lists(st.booleans(), min_size=5, max_size=5),
    limit=st.integers(1, 3),
)
def test_pages_by_several_keys_neither_repeat_nor_skip(template, names, keys, descending, limit) -> None:
    """r1-D1: the short condition means the same as the long one."""
    with make_bench(template) as bench:
        fill(bench, names)
        sort = tuple(map(SortKey, (*keys, "created_at", "id"), descending))
        expected = ids(bench, sort=sort, limit=100)
        seen: list[str] = []
        page = bench.database.page(ImageQuery(Scope.PUBLIC, sort=sort, limit=limit))
        while True:
            seen += [image.id for image in page.images]
            if not page.more:
                break
            page = bench.database.page(ImageQuery(Scope.PUBLIC, sort=sort, limit=limit, after=page.last))
        assert seen == expected
        assert len(seen) == len(names)


def test_a_long_list_is_read_a_few_images_at_a_time(bench: Bench) -> None:
    """r1-D6: a reader that stops early does not read the rest."""
    made = fill(bench, ["n"] * (2 * AT_ONCE + 1))
    with statements(bench) as read:
        page = bench.database.page(ImageQuery(Scope.PUBLIC, limit=1000))
        assert len(read) == 1
        first = next(iter(page))
        assert len(read) == 2
        assert list(page.images) == made
    assert (first, len(read)) == (made[:AT_ONCE], 5)


def test_a_page_of_the_usual_length_takes_two_statements(bench: Bench) -> None:
    """r1-D6: reading a few at a time costs most clients nothing."""
    made = fill(bench, ["n"] * 25)
    with statements(bench) as read:
        assert list(bench.database.page(ImageQuery(Scope.PUBLIC, limit=25)).images) == made
    assert len(read) == 2


def add_jobs(bench: Bench, image: Image, count: int) -> list[str]:
    """Add jobs with large orders to an image, and return their ids, newest first."""
    with bench.database.unit() as unit:
        made = [
            unit.add_job("fetch", image, {"stores": ["a"], "asked": {"x": "y" * 10_000}}, Actor())
            for _ in range(count)
        ]
    return made[::-1]


def test_only_the_newest_job_of_an_image_is_read_for_its_document(bench: Bench) -> None:
    """r1-D6: each failed import leaves a job, so an image may have any number of them."""
    images = fill(bench, ["a", "b", "c"])
    newest = {image.id: add_jobs(bench, image, 5)[0] for image in images[:2]}
    for asked in ([images[0]], images):
        with statements(bench) as read:
            latest = bench.database.latest_jobs([image.id for image in asked])
        wanted = {image.id: newest[image.id] for image in asked if image.id in newest}
        assert {image_id: job.id for image_id, job in latest.items()} == wanted
        ((statement, values),) = read
        with contextlib.closing(bench.raw()) as raw:
            assert len(raw.execute(statement, values).fetchall()) == len(wanted)


def test_the_number_of_jobs_that_are_read_of_an_image_is_limited(bench: Bench) -> None:
    """r1-D6"""
    (image,) = fill(bench, ["a"])
    newest = add_jobs(bench, image, 5)[:3]
    assert [job.id for job in bench.database.jobs_of(image.id, 3)] == newest


def test_a_list_of_tasks_reads_no_orders(bench: Bench) -> None:
    """r1-D6: an order may be as large as an image's metadata."""
    from calotype.model.queries import JobQuery

    (image,) = fill(bench, ["a"])
    add_jobs(bench, image, 2)
    with statements(bench) as read:
        page = bench.database.job_page(JobQuery(limit=1))
    assert [job.makes_image for job in page.records] == [True]
    ((statement, values),) = read
    with contextlib.closing(bench.raw()) as raw:
        rows = raw.execute(statement, values).fetchall()
    assert len(json.dumps(rows)) < 2000
    with bench.database.engine.connect() as connection:
        assert len(json.dumps(connection.scalar(select(JobRow.order)))) > 10_000


@pytest.mark.parametrize(("count", "kept"), [(3, 2), (20, 0)])
def test_statements_with_many_filters_are_not_kept_compiled(bench: Bench, count: int, kept: int) -> None:
    """r1-D1: a client can send any number of them, and each would take a megabyte of memory.

    A list with few filters has two statements: the first one counts the images that meet each filter.
    """
    cache = bench.database._reading._compiled_cache
    before = len(cache)
    found = ids(
        bench, conditions=(Condition("name", "eq", "n"),), tags=tuple("t" * n for n in range(1, count))
    )
    assert found == []
    assert len(cache) - before == kept


def test_the_images_that_are_shared_with_a_project_are_read_by_one_statement(bench: Bench) -> None:
    """r1-D6: no other parts of the images are read."""
    images = fill(bench, ["n"] * 3)
    for image in images:
        for project in ("theirs", "others"):
            bench.lifecycle.members.share(image, MemberSpec(project, can_share=True), bench.caller)
    with statements(bench) as read:
        shared = bench.database.shared_with("theirs")
    assert len(read) == 1
    assert [(image.id, [member.project for member in image.members]) for image in shared] == [
        (image.id, ["theirs"]) for image in images
    ]


def test_a_member_that_is_listed_many_times_is_written_once(bench: Bench) -> None:
    """r1-D2: the cost of a list of members grows only with the number of different projects."""
    image = bench.lifecycle.reserve(Change(bench.caller, ImageFields()))
    written: list[str] = []
    event.listen(
        bench.database.engine, "before_cursor_execute", lambda c, cursor, text, *rest: written.append(text)
    )
    shared = bench.lifecycle.members.share_with(
        image, [MemberSpec("p", can_share=n % 2 == 0) for n in range(500)], bench.caller
    )
    assert [(member.project, member.can_share) for member in shared.members] == [("p", False)]
    assert sum("image_members" in text and "SELECT" not in text for text in written) == 2
