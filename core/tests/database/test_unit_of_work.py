"""Units of work: their changes take effect together or not at all (facts F9 to F13)."""

import ast
import contextlib
import datetime
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import transaction
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import IntegrityError

import calotype.database
from calotype.database.errors import DatabaseUnavailable, DuplicateImage, ImageNotFound, StatusConflict
from calotype.database.unit_of_work import Unit
from calotype.model.change import Change
from calotype.model.fields import ImageFields, new_id
from calotype.model.images import LocationState, Visibility
from calotype.model.states import Status
from tests.support.workbench import CALLER, OWNER, begin_upload, open_database

SOURCES = sorted(Path(calotype.database.__file__).parent.glob("*.py"))
RACERS = 16
EPOCH = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
NAMES = st.text("abc", min_size=1, max_size=3)
PROPERTIES = st.dictionaries(NAMES, st.text(st.characters(exclude_categories=["Cs"]), max_size=5), max_size=4)


def add(bench, **fields) -> str:
    image_id = new_id()
    with bench.database.unit() as unit:
        unit.add_image(image_id, fields, {})
    return image_id


def set_properties(
    unit: Unit, image_id: str, properties: dict[str, str], *, keep_others: bool = True
) -> None:
    fields = ImageFields(properties=properties, replace_properties=not keep_others)
    unit.apply(Change(CALLER, fields, unit.image(image_id)))


# ---------------------------------------------------------------- F10: nothing is lost silently


def calls(tree: ast.AST) -> list[ast.Call]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call)]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_f10_no_statement_is_given_as_text(path):
    names = {call.func.id for call in calls(ast.parse(path.read_text())) if isinstance(call.func, ast.Name)}

    assert names & {"text", "TextClause"} == set()


@settings(max_examples=25)
@given(
    properties=PROPERTIES,
    change=PROPERTIES,
    keep=st.booleans(),
    name=st.none() | NAMES,
)
def test_f10_all_changes_are_committed_whatever_the_last_one_is(bench, properties, change, keep, name):
    image_id, key = new_id(), new_id()
    steps = [
        lambda unit: unit.add_image(image_id, {"name": "n"}, properties),
        lambda unit: begin_upload(unit, image_id, key, "memory"),
        lambda unit: set_properties(unit, image_id, change, keep_others=keep),
        lambda unit: unit.change(image_id, {Status.QUEUED}, {"name": name}),
        lambda unit: unit.move(image_id, {Status.QUEUED}, Status.SAVING),
        lambda unit: unit.doom_location(key, LocationState.INTENDED, EPOCH),
    ]
    # A transaction manager that misses the last change of a unit would lose it, so each is last once.
    with bench.database.unit() as unit:
        steps[0](unit)
    for step in steps[1:]:
        with bench.database.unit() as unit:
            step(unit)
    image = bench.database.find(image_id)

    assert (image.name, image.status) == (name, Status.SAVING)
    assert image.properties == ({**properties, **change} if keep else change)
    assert [row.state for row in bench.locations(image_id)] == [LocationState.PENDING_DELETE]


def test_an_error_rolls_back_the_whole_unit(bench):
    image_id = add(bench, name="before")

    class Failed(Exception):
        pass

    def work():
        with bench.database.unit() as unit:
            unit.change(image_id, {Status.QUEUED}, {"name": "after"})
            set_properties(unit, image_id, {"a": "b"})
            begin_upload(unit, image_id, "key", "memory")
            raise Failed

    with pytest.raises(Failed):
        work()

    image = bench.database.find(image_id)
    assert (image.name, image.properties, bench.locations()) == ("before", {}, [])


def test_a_unit_begun_within_a_unit_of_the_same_thread_is_an_error(bench):
    def work():
        with bench.database.unit(), bench.database.unit():
            pass

    with pytest.raises(transaction.interfaces.TransactionError):
        work()


# ---------------------------------------------------------------- F11: the ghost commit


def test_f11_a_row_whose_commit_failed_at_a_constraint_is_not_committed_by_the_next_unit(template, tmp_path):
    path = tmp_path / "registry.sqlite"
    path.write_bytes(template.read_bytes())
    database = open_database(path, pool_size=1)

    def fail():
        with database.unit() as unit:
            unit._session.connection().exec_driver_sql("PRAGMA defer_foreign_keys = ON")
            begin_upload(unit, new_id(), "failed", "memory")  # there is no such image

    def work():
        image_id = new_id()
        with database.unit() as unit:
            unit.add_image(image_id, {}, {})
            begin_upload(unit, image_id, "innocent", "memory")

    with pytest.raises(IntegrityError):
        fail()
    work()
    database.close()

    with contextlib.closing(sqlite3.connect(path)) as raw:
        assert raw.execute("SELECT key FROM image_locations").fetchall() == [("innocent",)]


def test_f11_a_row_whose_commit_failed_at_a_lock_is_not_committed_by_the_next_unit(template, tmp_path):
    path = tmp_path / "registry.sqlite"
    path.write_bytes(template.read_bytes())
    database = open_database(path, pool_size=1, busy_timeout=0)
    database.check()
    failed, innocent = new_id(), new_id()
    with database.engine.connect() as connection:
        # A reader blocks a COMMIT only without WAL.
        connection.rollback()
        connection.connection.dbapi_connection.execute("PRAGMA journal_mode = DELETE")
    reader = sqlite3.connect(path, isolation_level=None)

    def work(image_id):
        with database.unit() as unit:
            unit.add_image(image_id, {}, {})

    with contextlib.closing(reader):
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM images").fetchall()
        with pytest.raises(DatabaseUnavailable):
            work(failed)
    work(innocent)

    assert database.find(failed) is None
    assert database.find(innocent) is not None
    database.close()


# ---------------------------------------------------------------- F12: compare and swap


def test_f12_one_of_many_concurrent_status_changes_of_an_image_succeeds(bench):
    image_id, begin = add(bench), threading.Barrier(RACERS)

    def race(number: int) -> bool:
        begin.wait(10)
        try:
            with bench.database.unit() as unit:
                unit.move(image_id, {Status.QUEUED}, Status.SAVING, status_reason=str(number))
        except StatusConflict:
            return False
        return True

    with ThreadPoolExecutor(RACERS) as threads:
        won = list(threads.map(race, range(RACERS)))

    assert won.count(True) == 1
    assert bench.row(image_id).status_reason == str(won.index(True))


def test_one_of_many_concurrent_creations_gets_the_id(bench):
    image_id, begin = new_id(), threading.Barrier(RACERS)

    def race(number: int) -> bool:
        begin.wait(10)
        try:
            with bench.database.unit() as unit:
                unit.add_image(image_id, {"name": str(number)}, {})
        except DuplicateImage:
            return False
        return True

    with ThreadPoolExecutor(RACERS) as threads:
        won = list(threads.map(race, range(RACERS)))

    assert won.count(True) == 1
    assert bench.database.find(image_id).name == str(won.index(True))


# ---------------------------------------------------------------- F13: registered once


def test_f13_a_unit_registers_no_listener_of_its_own(bench):
    hooks = (
        "after_begin",
        "after_attach",
        "after_flush",
        "after_bulk_update",
        "after_bulk_delete",
    )

    def listeners():
        with bench.database.unit() as unit:
            dispatch = unit._session.dispatch
            return {hook: len(list(getattr(dispatch, hook))) for hook in hooks}

    first = listeners()
    for _ in range(5):
        last = listeners()

    assert first == last
    assert first["after_begin"] == 1
    assert set(first.values()) == {1}


# ---------------------------------------------------------------- the verbs


def test_a_new_image_is_queued_and_its_update_time_is_its_creation_time(bench):
    image = bench.database.find(add(bench, name="n"))

    assert (image.status, image.visibility, image.protected) == (Status.QUEUED, Visibility.PRIVATE, False)
    assert image.created_at == image.updated_at
    assert (image.min_disk, image.min_ram, image.size, image.deleted_at) == (0, 0, None, None)


def test_the_id_of_a_deleted_image_stays_taken(bench):
    image_id = add(bench)
    with bench.database.unit() as unit:
        unit.move(image_id, {Status.QUEUED}, Status.DELETED)

    def work():
        with bench.database.unit() as unit:
            unit.add_image(image_id, {}, {})

    assert bench.database.find(image_id) is None
    with pytest.raises(DuplicateImage, match=f"identifier {image_id} already exists"):
        work()


def test_a_status_change_from_another_status_than_the_current_one_changes_nothing(bench):
    image_id = add(bench, name="n")
    before = bench.database.find(image_id)

    def work():
        with bench.database.unit() as unit:
            unit.move(image_id, {Status.SAVING, Status.KILLED}, Status.ACTIVE, name="other")

    with pytest.raises(StatusConflict):
        work()

    assert bench.database.find(image_id) == before


@pytest.mark.parametrize("deleted", [False, True])
def test_a_unit_sees_neither_deleted_nor_missing_images(bench, deleted):
    image_id = add(bench) if deleted else new_id()
    if deleted:
        with bench.database.unit() as unit:
            unit.move(image_id, {Status.QUEUED}, Status.DELETED)

    def work():
        with bench.database.unit() as unit:
            unit.image(image_id)

    with pytest.raises(ImageNotFound):
        work()


def test_a_unit_sees_its_own_changes(bench):
    image_id = new_id()
    with bench.database.unit() as unit:
        unit.add_image(image_id, {}, {"a": "1"})
        begin_upload(unit, image_id, "k1", "memory")
        unit.add_external(image_id, "k2", "http", "http:x")
        begin_upload(unit, image_id, "k3", "memory")
        unit.forget_location("k3")
        image = unit.image(image_id)
        rows = {row.key: (row.state, row.location, row.external) for row in unit.locations(image_id)}

    assert image.properties == {"a": "1"}
    assert [location.key for location in image.locations] == ["k2"]
    assert (image.location.key, image.store) == ("k2", "http")
    assert rows == {
        "k1": (LocationState.INTENDED, None, False),
        "k2": (LocationState.STORED, "http:x", True),
    }


def test_committed_bytes_belong_to_the_image(bench):
    image_id = add(bench)
    with bench.database.unit() as unit:
        begin_upload(unit, image_id, "k", "memory")
    assert bench.database.find(image_id).location is None
    assert bench.database.find(image_id).store is None
    with bench.database.unit() as unit:
        unit.commit_location("k", OWNER, "blob:k")

    assert bench.database.find(image_id).location.location == "blob:k"
