"""Probes: the last result is available at once, even if a check hangs."""

import threading
import time

import pytest

from calotype.database.errors import DatabaseFull, DatabaseUnavailable
from calotype.stores import StoreError, StoreFull, Unavailable
from calotype.stores.errors import Busy
from calotype.transfers.probes import Probe, Probes, ProbeState
from tests.support.workbench import make_settings

SOON = 0.1


def probe(check, interval=60.0, timeout=SOON) -> Probe:
    return Probe("store 'x'", check, interval, timeout)


def raising(error: Exception):
    def check():
        raise error

    return check


@pytest.mark.parametrize(
    ("check", "state"),
    [
        (lambda: None, "ok"),
        (raising(StoreFull("x", "no room")), "full"),
        (raising(DatabaseFull()), "full"),
        (raising(Unavailable("x", "away")), "unavailable"),
        (raising(StoreError("x", "its driver failed")), "unavailable"),
        (raising(DatabaseUnavailable("away")), "unavailable"),
    ],
)
def test_a_probe_reports_the_result_of_its_last_check(check, state):
    looked = probe(check)
    assert looked.run() is False
    assert looked.state == state


def test_the_state_is_unknown_until_the_first_check_has_timed_out():
    """r1-D3"""
    unseen = probe(lambda: None)
    assert unseen.state is ProbeState.UNKNOWN
    time.sleep(SOON)
    assert unseen.state is ProbeState.UNAVAILABLE


@pytest.mark.parametrize("seen_before", [False, True])
def test_a_check_that_hangs_counts_as_unavailable_from_its_timeout_until_it_returns(seen_before):
    """r1-D3"""
    gate, calls = threading.Event(), []

    def check():
        calls.append(1)
        if len(calls) > seen_before:
            assert gate.wait(30)

    hanging = probe(check, interval=0.0)
    if seen_before:
        hanging.run()
        assert hanging.state is ProbeState.OK
    thread = threading.Thread(target=hanging.run)
    thread.start()
    began = time.monotonic()
    while hanging.state is not ProbeState.UNAVAILABLE:
        assert time.monotonic() - began < 10
    assert time.monotonic() - began > SOON / 2
    gate.set()
    thread.join()
    assert hanging.state is ProbeState.OK


def test_a_change_of_a_probes_state_is_logged_once_with_its_reason(caplog):
    answers = iter([None, Unavailable("x", "its disk is away"), Unavailable("x", "its disk is away"), None])

    def check():
        if (error := next(answers)) is not None:
            raise error

    looked = probe(check)
    for _ in range(4):
        looked.run()
    assert [record.getMessage() for record in caplog.records] == [
        "store 'x' is unavailable: store 'x': its disk is away",
        "store 'x' is ok",
    ]


def test_a_command_in_a_reason_names_the_ini_file(caplog):
    def check():
        raise Unavailable("x", "there is no directory: calotype-manage stores INI --create x")

    looked = probe(check)
    looked.arguments = "/etc/calotype.ini data_dir=/srv"
    looked.run()
    assert "calotype-manage stores /etc/calotype.ini data_dir=/srv --create x" in caplog.text


def test_there_is_a_probe_for_the_database_and_for_each_store(bench):
    probes = Probes(bench.database, bench.stores, make_settings(probe_interval=7, probe_timeout=3))
    for one in probes:
        one.run()

    assert {one.name: one.interval for one in probes} == {"database": 2, "store 'memory'": 7}
    assert probes.database.state is probes.stores["memory"].state is ProbeState.OK


def test_a_store_whose_download_slots_are_all_in_use_is_busy(caplog):
    def check():
        raise Busy("x", "it is busy")

    busy = probe(check)
    busy.run()

    assert busy.state is ProbeState.BUSY
    assert "store 'x' is busy: store 'x': it is busy" in caplog.text
