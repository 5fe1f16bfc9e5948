"""The engine: SQLite is as strict as a server, and an unavailable database is reported as such."""

import contextlib
import sqlite3
import threading
import time

import pytest
from sqlalchemy import event, insert
from sqlalchemy.exc import DBAPIError, IntegrityError

from calotype.database.database import Database
from calotype.database.engine import build_engine, read_only
from calotype.database.errors import DatabaseUnavailable
from calotype.database.tables import ImageRow
from calotype.model.fields import new_id
from tests.support.workbench import begin_upload, make_bench, open_database


def pragma(connection, name):
    return connection.exec_driver_sql(f"PRAGMA {name}").scalar()


def test_every_connection_to_sqlite_is_strict(bench):
    database = open_database(bench.path)
    with database.engine.connect() as connection:
        found = {name: pragma(connection, name) for name in ("journal_mode", "synchronous", "foreign_keys")}
    database.close()

    assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


def test_the_directory_of_the_database_is_created(tmp_path):
    database = open_database(tmp_path / "a" / "b" / "registry.sqlite")
    database.check()
    database.close()

    assert (tmp_path / "a" / "b" / "registry.sqlite").is_file()


def test_an_engine_connects_when_first_used():
    engine = build_engine("postgresql+psycopg://nobody@127.0.0.1:1/none")

    assert engine.pool.checkedin() == 0
    engine.dispose()


def test_a_row_without_its_image_is_refused(bench):
    def work():
        with bench.database.unit() as unit:
            begin_upload(unit, new_id(), "key", "memory")

    with pytest.raises(IntegrityError):
        work()


def test_a_locked_database_is_unavailable_once_the_busy_timeout_is_over(template):
    def work():
        with bench.database.unit() as unit:
            unit.add_image(new_id(), {}, {})

    with make_bench(template, busy_timeout=0.05) as bench, contextlib.closing(bench.raw()) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(
            DatabaseUnavailable, match=r"^The image database is not available at the moment\.$"
        ):
            work()
        other.execute("ROLLBACK")
        work()

        assert len(bench.images()) == 1


def test_a_unit_waits_for_another_writer_that_ends_in_time(bench):
    held, released = threading.Event(), []

    def hold():
        with contextlib.closing(bench.raw()) as other:
            other.execute("BEGIN IMMEDIATE")
            held.set()
            assert begun.wait(10)
            released.append(True)
            other.execute("COMMIT")

    begun = threading.Event()
    event.listen(bench.database.engine, "checkout", lambda *_: begun.set())
    writer = threading.Thread(target=hold)
    writer.start()
    assert held.wait(10)
    with bench.database.unit() as unit:
        unit.add_image(new_id(), {}, {})
        waited = list(released)
    writer.join(10)

    assert waited == [True]


def test_a_read_does_not_wait_for_a_writer(template):
    with make_bench(template, busy_timeout=0) as bench, contextlib.closing(bench.raw()) as other:
        image_id = new_id()
        with bench.database.unit() as unit:
            unit.add_image(image_id, {"name": "before"}, {})
        other.execute("BEGIN IMMEDIATE")
        other.execute("UPDATE images SET name = 'after'")

        assert bench.database.find(image_id).name == "before"
        other.execute("COMMIT")
        assert bench.database.find(image_id).name == "after"


def test_a_read_takes_no_lock_that_a_writer_would_wait_for(template):
    with make_bench(template, busy_timeout=0) as bench, contextlib.closing(bench.raw()) as other:
        with bench.database.reading() as connection:
            connection.exec_driver_sql("SELECT * FROM images").all()
            other.execute("BEGIN IMMEDIATE")
            other.execute("COMMIT")


def test_a_file_that_is_not_a_database_is_reported_as_unavailable(tmp_path):
    path = tmp_path / "registry.sqlite"
    path.write_bytes(b"this is a letter, not a database\n" * 100)
    database = open_database(path)
    with pytest.raises(DatabaseUnavailable):
        database.check()
    database.close()


def test_a_directory_in_place_of_the_database_is_reported_as_unavailable(tmp_path):
    database = open_database(tmp_path)
    with pytest.raises(DatabaseUnavailable):
        database.check()
    database.close()


def test_an_exhausted_pool_makes_the_database_unavailable(template):
    with make_bench(template, pool_size=1, pool_timeout=0.05) as bench:
        with bench.database.engine.connect(), pytest.raises(DatabaseUnavailable):
            bench.database.check()

        bench.database.check()


def test_a_wrong_statement_is_not_reported_as_an_unavailable_database(bench):
    with pytest.raises(DBAPIError) as caught, bench.database.reading() as connection:
        connection.execute(insert(ImageRow).values(id=None))

    assert not isinstance(caught.value, DatabaseUnavailable)


def test_a_broken_connection_makes_the_database_unavailable(bench):
    error = DBAPIError("SELECT 1", {}, Exception("gone"), connection_invalidated=True)

    def work():
        with bench.database.unit():
            raise error

    with pytest.raises(DatabaseUnavailable) as caught:
        work()

    assert caught.value.__cause__ is error


@pytest.mark.parametrize("url", ["sqlite:///{}/a", "postgresql+psycopg://nobody@127.0.0.1:1/none"])
def test_readers_share_the_connections_but_no_listener(tmp_path, url):
    """A listener makes every statement slower, and this one begins transactions."""
    engine = build_engine(url.format(tmp_path))
    reading = read_only(engine)

    assert reading.pool is engine.pool
    assert (engine._has_events, reading._has_events) == (True, False)
    engine.dispose()


def test_a_database_server_that_does_not_run_is_reported_as_unavailable():
    database = Database(build_engine("postgresql+psycopg://nobody@127.0.0.1:1/none?connect_timeout=2"))
    with pytest.raises(DatabaseUnavailable):
        database.check()
    database.close()


def test_a_unit_that_has_only_read_already_holds_the_write_lock(bench):
    image_id = new_id()
    with bench.database.unit() as unit:
        unit.add_image(image_id, {}, {})
    with bench.database.unit() as unit, contextlib.closing(bench.raw()) as other:
        unit.image(image_id)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")


def in_threads(number, work):
    threads = [threading.Thread(target=work) for _ in range(number)]
    for thread in threads:
        thread.start()
    return threads


def test_writers_that_wait_for_their_turn_leave_connections_to_readers(template):
    with make_bench(template, pool_size=2, pool_timeout=5) as bench:
        began, done = threading.Barrier(4), []

        def write():
            began.wait()
            with bench.database.unit() as unit:
                done.append(unit.add_image(new_id(), {}, {}))

        with bench.database.unit() as unit:
            unit.add_image(new_id(), {}, {})
            waiting = in_threads(3, write)
            began.wait()
            time.sleep(0.2)  # now the writers wait
            before = time.monotonic()
            bench.database.check()
            took = time.monotonic() - before
        for thread in waiting:
            thread.join(30)

        assert took < 2
        assert len(done) == 3


def test_a_process_gets_its_turn_while_threads_of_another_write_without_pause(template):
    with make_bench(template, busy_timeout=1) as bench:
        stop, errors = threading.Event(), []

        def write():
            try:
                while not stop.is_set():
                    with bench.database.unit() as unit:
                        unit.add_image(new_id(), {}, {})
            except DatabaseUnavailable as error:
                errors.append(error)

        other = open_database(bench.path, busy_timeout=1)  # it shares nothing with the first one
        busy = in_threads(8, write)
        try:
            for _ in range(20):
                with other.unit() as unit:
                    unit.add_image(new_id(), {}, {})
        finally:
            stop.set()
            for thread in busy:
                thread.join(30)
            other.close()

        assert errors == []
