"""The heartbeat: a process records that it is alive, in a row that others read."""

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


def test_a_heartbeat_records_where_the_process_runs(bench, heartbeat):
    before = datetime.datetime.now(datetime.UTC)
    assert bench.database.processes.all() == []
    heartbeat.beat()
    (found,) = bench.database.processes.all()
    assert (found.host, found.pid) == (socket.gethostname(), os.getpid())
    assert found.version.count(".") == 2
    assert found.started_at <= before <= found.seen_at <= datetime.datetime.now(datetime.UTC)


def test_the_next_heartbeat_changes_only_when_the_process_was_seen(bench, heartbeat):
    heartbeat.beat()
    (first,) = bench.database.processes.all()
    assert heartbeat.beat() is False
    (second,) = bench.database.processes.all()
    assert second.seen_at > first.seen_at
    assert replace(second, seen_at=first.seen_at) == first


def test_each_process_has_a_heartbeat_of_its_own(bench, heartbeat):
    heartbeat.beat()
    Heartbeat(bench.database).beat()
    assert len({one.id for one in bench.database.processes.all()}) == 2


def test_a_process_that_ends_removes_only_its_own_row(bench, heartbeat):
    other = Heartbeat(bench.database)
    heartbeat.beat()
    other.beat()
    (kept,) = [one for one in bench.database.processes.all() if one.id == other._process.id]
    heartbeat.end()
    assert bench.database.processes.all() == [kept]


def test_a_process_that_never_served_removes_nothing(bench, heartbeat, monkeypatch):
    monkeypatch.setattr(bench.database, "unit", None)
    heartbeat.end()


def test_the_row_of_a_process_that_was_not_seen_for_a_day_is_removed(bench, heartbeat):
    now = datetime.datetime.now(datetime.UTC)
    with bench.database.unit() as unit:
        for name, age in (("dead", hours(24.1)), ("killed lately", hours(23.9))):
            unit.processes.keep(ServingProcess(name, "host", 1, "1.0", now - hours(48), now - age))
    heartbeat.beat()
    assert {one.id for one in bench.database.processes.all()} == {"killed lately", heartbeat._process.id}


def test_a_row_that_was_removed_meanwhile_is_written_again(bench, heartbeat):
    heartbeat.beat()
    with bench.database.unit() as unit:
        unit.processes.forget(heartbeat._process.id)
    heartbeat.beat()
    assert len(bench.database.processes.all()) == 1


def test_an_unavailable_database_is_logged_once_and_not_at_each_heartbeat(
    bench, heartbeat, monkeypatch, caplog
):
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
