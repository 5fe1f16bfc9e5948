"""A process says that it lives, by a row that others read."""

import datetime
import os
import socket
from dataclasses import replace

import pytest

from calotype.database.errors import DatabaseUnavailable
from calotype.database.processes import ServingProcess
from calotype.transfers.heartbeat import Heartbeat


def hours(count):
    return datetime.timedelta(hours=count)


@pytest.fixture
def heartbeat(bench):
    return Heartbeat(bench.database)


def test_a_process_is_written_down_with_where_it_runs(bench, heartbeat):
    before = datetime.datetime.now(datetime.UTC)
    assert bench.database.processes.all() == []
    heartbeat.beat()
    (found,) = bench.database.processes.all()
    assert (found.host, found.pid) == (socket.gethostname(), os.getpid())
    assert found.version.count(".") == 2
    assert found.started_at <= before <= found.seen_at <= datetime.datetime.now(datetime.UTC)


def test_the_next_heartbeat_changes_nothing_but_when_it_was_seen(bench, heartbeat):
    heartbeat.beat()
    (first,) = bench.database.processes.all()
    assert heartbeat.beat() is False
    (second,) = bench.database.processes.all()
    assert second.seen_at > first.seen_at
    assert replace(second, seen_at=first.seen_at) == first


def test_two_processes_have_two_rows(bench, heartbeat):
    heartbeat.beat()
    Heartbeat(bench.database).beat()
    assert len({one.id for one in bench.database.processes.all()}) == 2


def test_a_process_that_ends_removes_its_row_and_no_others(bench, heartbeat):
    other = Heartbeat(bench.database)
    heartbeat.beat()
    other.beat()
    (kept,) = [one for one in bench.database.processes.all() if one.id == other._process.id]
    heartbeat.end()
    assert bench.database.processes.all() == [kept]


def test_a_process_that_never_served_removes_nothing(bench, heartbeat, monkeypatch):
    monkeypatch.setattr(bench.database, "unit", None)
    heartbeat.end()


def test_a_process_that_was_not_seen_for_a_day_is_forgotten(bench, heartbeat):
    now = datetime.datetime.now(datetime.UTC)
    with bench.database.unit() as unit:
        for name, age in (("dead", hours(24.1)), ("killed lately", hours(23.9))):
            unit.processes.keep(ServingProcess(name, "host", 1, "1.0", now - hours(48), now - age))
    heartbeat.beat()
    assert {one.id for one in bench.database.processes.all()} == {"killed lately", heartbeat._process.id}


def test_a_row_that_was_forgotten_meanwhile_is_written_anew(bench, heartbeat):
    heartbeat.beat()
    with bench.database.unit() as unit:
        unit.processes.forget(heartbeat._process.id)
    heartbeat.beat()
    assert len(bench.database.processes.all()) == 1


def test_a_database_that_is_away_is_one_warning_and_not_one_each_time(bench, heartbeat, monkeypatch, caplog):
    def unit(**given):
        raise DatabaseUnavailable("The image database is not available at the moment.")

    monkeypatch.setattr(bench.database, "unit", unit)
    for _ in range(3):
        heartbeat.beat()
    monkeypatch.undo()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    heartbeat.beat()
    monkeypatch.setattr(bench.database, "unit", unit)
    heartbeat.beat()
    heartbeat.end()
    assert len(caplog.records) == 3
    assert "cannot be written: The image database" in caplog.text
