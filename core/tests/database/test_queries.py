"""Reading images: pages, parts, times and sizes are read as they were written."""

import contextlib
import datetime
import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import event, update
from sqlalchemy.dialects import mysql, postgresql, sqlite

from calotype.database import parts
from calotype.database.tables import ImageRow
from calotype.model.fields import new_id
from calotype.model.images import Image, Visibility
from calotype.model.states import Status
from tests.support.workbench import begin_upload, make_bench

EPOCH = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
MANY = settings(max_examples=25)


def fill(bench, images) -> list[str]:
    """Add public images with these seconds of creation, and return their ids in the list's order."""
    made = []
    with bench.database.unit() as unit:
        for second in images:
            image_id = new_id()
            unit.add_image(image_id, {"visibility": Visibility.PUBLIC}, {})
            unit.change(image_id, {Status.QUEUED}, {"created_at": EPOCH + datetime.timedelta(seconds=second)})
            made.append((second, image_id))
    return [image_id for _, image_id in sorted(made)]


def walk(bench, limit: int) -> list[Image]:
    seen, after = [], None
    while True:
        page = bench.page(limit, after)
        seen.extend(page.images)
        if not page.more:
            return seen
        assert len(page.images) == limit
        after = page.images[-1]


@MANY
@given(seconds=st.lists(st.integers(0, 2), max_size=12), limit=st.integers(1, 5))
def test_pages_neither_repeat_nor_skip_images_that_were_created_at_the_same_time(template, seconds, limit):
    with make_bench(template) as bench:
        expected = fill(bench, seconds)

        assert [image.id for image in walk(bench, limit)] == expected


def test_a_page_says_whether_more_follows(bench):
    fill(bench, [0, 1, 2])

    assert [bench.page(limit).more for limit in (1, 2, 3, 4)] == [True, True, False, False]


def test_a_list_has_the_public_images_of_every_status_except_deleted(bench):
    shown, killed, deleted, other = fill(bench, [0, 1, 2, 3])
    with bench.database.unit() as unit:
        unit.add_image(new_id(), {"visibility": Visibility.PRIVATE}, {})
        unit.move(killed, {Status.QUEUED}, Status.KILLED)
        unit.move(deleted, {Status.QUEUED}, Status.DELETED, deleted_at=EPOCH)

    assert [image.id for image in bench.page(10).images] == [shown, killed, other]


def test_a_page_can_begin_after_an_image_that_was_deleted_meanwhile(bench):
    _, second, third = fill(bench, [0, 0, 0])
    after = bench.page(2).images[-1]
    with bench.database.unit() as unit:
        unit.move(second, {Status.QUEUED}, Status.DELETED, deleted_at=EPOCH)

    assert after.id == second
    assert [image.id for image in bench.page(2, after).images] == [third]


@pytest.mark.parametrize("paged", [False, True])
def test_a_page_is_read_from_the_index_without_sorting(bench, paged):
    fill(bench, range(50))
    after = bench.page(5).images[-1] if paged else None
    statements = []

    def note(connection, cursor, statement, parameters, context, many):
        statements.append((statement, parameters))

    event.listen(bench.database._reading, "before_cursor_execute", note)
    bench.page(5, after)
    listing = next((sql, values) for sql, values in statements if "visibility" in sql and "ORDER BY" in sql)
    with contextlib.closing(bench.raw()) as raw:
        plan = [row[3] for row in raw.execute(f"EXPLAIN QUERY PLAN {listing[0]}", listing[1])]
    walked = next(step for step in plan if "images" in step and "ix_" in step)

    assert "ix_images_listing (visibility=? AND deleted_at=?" in walked
    assert [step for step in plan if step.startswith("SCAN images")] == []


@MANY
@given(
    properties=st.dictionaries(
        st.text("abc-_", min_size=1, max_size=4), st.text("xyz", max_size=3), max_size=6
    ),
    locations=st.integers(0, 3),
    others=st.integers(0, 2),
)
def test_an_image_is_listed_once_with_all_its_parts(template, properties, locations, others):
    with make_bench(template) as bench:
        fill(bench, range(others))
        image_id = new_id()
        with bench.database.unit() as unit:
            unit.add_image(image_id, {"visibility": Visibility.PUBLIC}, properties)
            for number in range(locations):
                unit.add_external(image_id, f"k{number}", "http", f"http:{number}")
            begin_upload(unit, image_id, "intended", "memory")
        found = bench.database.find(image_id)
        listed = [image for image in bench.page(10).images if image.id == image_id]

        assert listed == [found]
        assert found.properties == properties
        assert {location.key for location in found.locations} == {f"k{n}" for n in range(locations)}
        assert len(bench.page(10).images) == others + 1


@MANY
@given(
    moment=st.datetimes(
        min_value=datetime.datetime(1970, 1, 2),
        max_value=datetime.datetime(2999, 1, 1),
        timezones=st.timezones(),
    )
)
def test_a_time_comes_back_as_the_same_instant_in_utc(bench, moment):
    image_id = new_id()
    with bench.database.unit() as unit:
        unit.add_image(image_id, {}, {})
        unit.move(image_id, {Status.QUEUED}, Status.KILLED, created_at=moment, deleted_at=moment)
    image = bench.database.find(image_id)

    assert image.created_at == moment.astimezone(datetime.UTC)
    assert image.created_at.utcoffset() == datetime.timedelta(0)
    assert image.deleted_at == image.created_at


@MANY
@given(size=st.sampled_from([0, 2**31, 2**32, 2**63 - 1]) | st.integers(0, 2**63 - 1))
def test_a_size_has_64_bits(bench, size):
    image_id = new_id()
    with bench.database.unit() as unit:
        unit.add_image(image_id, {"size": size}, {})

    assert bench.database.find(image_id).size == size


@MANY
@given(text=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=255))
def test_any_text_is_read_back_unchanged(bench, text):
    image_id = new_id()
    with bench.database.unit() as unit:
        unit.add_image(image_id, {"name": text, "owner": text}, {"p": text})
    image = bench.database.find(image_id)

    assert (image.name, image.owner, image.properties) == (text, text, {"p": text})


def test_an_id_that_was_never_used_is_not_found(bench):
    assert bench.database.find(new_id()) is None


def test_updates_of_other_programs_are_seen_at_once(bench):
    image_id = fill(bench, [0])[0]
    with bench.database.engine.begin() as connection:
        connection.execute(update(ImageRow).values(name="by hand"))

    assert bench.database.find(image_id).name == "by hand"


def test_times_are_kept_without_a_zone_so_that_every_database_sorts_them(bench):
    fill(bench, [5])
    with contextlib.closing(sqlite3.connect(bench.path)) as raw:
        assert raw.execute("SELECT created_at FROM images").fetchone() == ("2026-01-01 00:00:05.000000",)


@pytest.mark.parametrize("dialect", [mysql, postgresql, sqlite], ids=lambda dialect: dialect.__name__)
def test_the_statement_for_parts_compiles_for_every_database(dialect):
    statement = str(parts._PARTS.compile(dialect=dialect.dialect()))  # a warning would be an error here

    assert statement.count("UNION ALL") == 4
