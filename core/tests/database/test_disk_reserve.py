"""Recognizing a full disk, and releasing the reserved space in that case (r1-H1)."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import psycopg.errors
import pymysql
import pytest
from sqlalchemy import make_url
from sqlalchemy.exc import OperationalError

from calotype.database.database import Database
from calotype.database.disk_reserve import is_full, make_reserve
from calotype.database.engine import build_engine
from calotype.database.errors import DatabaseFull
from calotype.database.retry import LockConflict, retry_on_conflict
from calotype.model.states import Status
from tests.support.workbench import Bench, make_database

URL = make_url("sqlite://")
SIZE = 1 << 20


def of_sqlite(code: int) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("as SQLite says")
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    "raw",
    [
        of_sqlite(sqlite3.SQLITE_FULL),
        psycopg.errors.DiskFull("could not extend file"),
        pymysql.err.OperationalError(1021, "Disk full"),
        pymysql.err.OperationalError(1114, "The table 'images' is full"),
    ],
)
def test_the_error_of_each_database_for_a_full_disk_is_recognized(raw: Exception) -> None:
    assert is_full(raw, URL)
    assert is_full(OperationalError("INSERT", {}, raw), URL)


@pytest.mark.parametrize(
    "raw",
    [
        of_sqlite(sqlite3.SQLITE_BUSY),
        of_sqlite(sqlite3.SQLITE_IOERR_WRITE),
        psycopg.errors.DeadlockDetected(),
        pymysql.err.OperationalError(2013, "Lost connection"),
        pymysql.err.OperationalError(),
    ],
)
def test_an_error_with_another_cause_is_not_reported_as_a_full_disk(raw: Exception, tmp_path: Path) -> None:
    assert not is_full(raw, make_url(f"sqlite:///{tmp_path}/registry.sqlite"))


@pytest.fixture
def reserve(tmp_path: Path):
    return make_reserve(make_url(f"sqlite:///{tmp_path}/registry.sqlite"), SIZE)


def test_the_reserve_occupies_space_until_it_is_given_up(reserve, tmp_path: Path) -> None:
    file = tmp_path / "registry.sqlite-reserve"

    assert reserve.keep()
    assert file.stat().st_blocks * 512 >= SIZE
    assert reserve.keep()
    assert reserve.give_up()
    assert not file.exists()
    assert reserve.give_up()  # another process was faster, and there is space


def test_a_reserve_that_a_dead_process_left_unfinished_is_completed(reserve, tmp_path: Path) -> None:
    file = tmp_path / "registry.sqlite-reserve"
    file.write_bytes(b"")

    assert reserve.keep()
    assert file.stat().st_size == SIZE


def test_a_missing_directory_is_not_reported_as_a_full_disk(tmp_path: Path) -> None:
    reserve = make_reserve(make_url(f"sqlite:///{tmp_path}/gone/registry.sqlite"), SIZE)

    assert reserve.keep()
    assert not reserve.is_low
    assert not is_full(of_sqlite(sqlite3.SQLITE_CANTOPEN), make_url(f"sqlite:///{tmp_path}/gone/x"))


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "postgresql+psycopg://host/images"])
def test_a_database_that_is_not_a_local_file_has_no_reserve(url: str) -> None:
    assert make_reserve(make_url(url), SIZE) is None


def test_a_size_of_zero_means_no_reserve(tmp_path: Path) -> None:
    assert make_reserve(make_url(f"sqlite:///{tmp_path}/registry.sqlite"), 0) is None


@pytest.fixture
def database(tmp_path: Path):
    """A database with a reserve. Tests keep it from growing, so that SQLite reports a full disk."""
    url = f"sqlite:///{make_database(tmp_path / 'registry.sqlite')}"
    engine = build_engine(url, pool_size=1)
    database = Database(engine, make_reserve(engine.url, SIZE))
    database.keep_reserve()
    yield database
    database.close()


def limit_pages(database: Database, most: int) -> None:
    with database.engine.connect() as connection:
        connection.exec_driver_sql(f"PRAGMA max_page_count = {most}")


def add_much(database: Database, *, frees: bool) -> None:
    with database.unit(frees=frees) as unit:
        unit.add_image("1", {"name": "one"}, {"much": "x" * 100_000})


def test_a_unit_that_frees_space_is_retried_after_the_reserve_was_given_up(database, tmp_path) -> None:
    tries = []

    @retry_on_conflict
    def verb() -> None:
        tries.append((tmp_path / "registry.sqlite-reserve").exists())
        limit_pages(database, 1 if len(tries) == 1 else 1 << 20)
        add_much(database, frees=True)

    verb()

    assert tries == [True, False]
    assert database.find("1").status is Status.QUEUED


def test_a_unit_that_frees_no_space_fails_at_once_and_leaves_the_reserve(database, tmp_path) -> None:
    tries = []

    @retry_on_conflict
    def verb() -> None:
        tries.append(True)
        limit_pages(database, 1)
        add_much(database, frees=False)

    with pytest.raises(DatabaseFull, match="full: delete images"):
        verb()

    assert tries == [True]
    assert (tmp_path / "registry.sqlite-reserve").exists()
    assert database.find("1") is None


def test_a_disk_that_stays_full_ends_the_retries(database) -> None:
    tries = []

    @retry_on_conflict
    def verb() -> None:
        tries.append(True)
        limit_pages(database, 1)
        add_much(database, frees=True)

    with pytest.raises(DatabaseFull):
        verb()

    assert len(tries) == 4


def test_a_database_without_a_reserve_reports_a_full_disk(bench: Bench) -> None:
    limit_pages(bench.database, 1)
    with pytest.raises(DatabaseFull) as caught:
        add_much(bench.database, frees=True)
    assert not caught.value.room_made
    assert not isinstance(caught.value, LockConflict)
