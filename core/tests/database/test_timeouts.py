"""Timeouts of database servers. The settings of real servers are tested with them in tests/databases."""

import socket
import time

import pytest
from sqlalchemy import make_url

from calotype.database import timeouts
from calotype.database.database import Database
from calotype.database.engine import build_engine, unhurried
from calotype.database.errors import DatabaseUnavailable

POSTGRESQL = "postgresql+psycopg://nobody@127.0.0.1:1/none"
MARIADB = "mysql+pymysql://nobody@127.0.0.1:1/none"


def given(url, answer=20.0):
    return timeouts.arguments(make_url(url), 5, answer)


def test_database_drivers_get_their_timeouts_as_arguments():
    assert given(POSTGRESQL) == {"connect_timeout": 5}
    told = given(MARIADB)

    assert told.pop("init_command").startswith(
        "SET SESSION innodb_lock_wait_timeout = 5, lock_wait_timeout = 5"
    )
    assert told == {"connect_timeout": 5, "read_timeout": 20.0, "write_timeout": 20.0}


def test_a_timeout_in_the_database_url_takes_precedence_over_the_setting():
    assert given(f"{POSTGRESQL}?connect_timeout=2") == {}
    assert "read_timeout" not in given(f"{MARIADB}?read_timeout=90")


def test_sqlite_gets_no_timeouts_as_arguments():
    assert given("sqlite:///file") == {}


def test_without_an_answer_timeout_only_waits_for_locks_are_limited():
    assert given(POSTGRESQL, None) == {}
    assert given(MARIADB, None) == {"init_command": "SET SESSION innodb_lock_wait_timeout = 5"}


def test_a_migration_of_sqlite_runs_on_the_same_engine(bench):
    with unhurried(bench.database.engine) as engine:
        assert engine is bench.database.engine


@pytest.mark.parametrize("url", [f"{POSTGRESQL}?connect_timeout=2", MARIADB], ids=["postgresql", "mariadb"])
def test_a_server_that_accepts_connections_but_never_answers_is_soon_reported_as_unavailable(url):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        there = make_url(url).set(port=silent.getsockname()[1])
        database = Database(build_engine(there, answer_timeout=0.5))
        began = time.monotonic()
        with pytest.raises(DatabaseUnavailable):
            database.check()
        database.close()

    assert time.monotonic() - began < 10
