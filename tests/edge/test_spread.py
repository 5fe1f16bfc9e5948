"""How several processes divide new connections."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from threading import Barrier

import pytest

from tests.edge.processes import Service, StartService, get, hold, state_of
from tests.support.waiting import wait_for

_CLIENTS = 8


def test_connections_spread_evenly_over_idle_processes(start_service: StartService):
    service = start_service(processes=4).ready()
    with ExitStack() as stack:
        connections = [stack.enter_context(service.connection()) for _ in range(64)]
        for connection in connections:
            connection.connect()
        spread = Counter(get(connection)["pid"] for connection in connections)
    assert len(spread) == 4
    assert max(spread.values()) <= 32  # without the rule, one process gets 41 to 59


def test_connections_that_each_send_a_request_at_once_spread_evenly_too(start_service: StartService):
    service = start_service(processes=4).ready()
    with ExitStack() as stack:
        spread: Counter[int] = Counter()
        for _ in range(64):
            spread[get(stack.enter_context(service.connection()))["pid"]] += 1
    assert len(spread) == 4
    assert max(spread.values()) <= 32  # without the rule, one process gets 41 to 59


def test_clients_that_begin_together_are_divided_evenly(start_service: StartService):
    """Some have sent a request already when the others connect."""
    service = start_service().ready()
    for _ in range(4):
        together = Barrier(_CLIENTS)
        with ThreadPoolExecutor(_CLIENTS) as clients:
            pids = clients.map(lambda _, barrier=together: _ask_often(service, barrier), range(_CLIENTS))
            spread = Counter(pids)
        assert max(spread.values()) <= 5  # without the rule, one process often gets 6 or 7
        time.sleep(0.5)


def _ask_often(service: Service, together: Barrier) -> int:
    with service.connection() as connection:
        together.wait(10)
        connection.connect()
        (pid,) = {get(connection)["pid"] for _ in range(100)}
    return pid


@pytest.mark.parametrize("kept_open", [0, 30])
def test_a_process_that_runs_a_request_leaves_connections_to_an_idle_one(
    start_service: StartService, kept_open: int
):
    """Even if the idle one has more connections."""
    service = start_service().ready()
    with ExitStack() as stack:
        for _ in range(kept_open):
            stack.enter_context(service.connection()).connect()
        held = hold(service)
        spread: Counter[int] = Counter()
        for _ in range(20):
            spread[service.get()["pid"]] += 1
            time.sleep(0.03)  # the idle process may still be ending its request
    assert spread[held.pid] <= 3
    service.go_on()
    assert held.outcome() == held.pid


def test_a_process_that_hangs_does_not_keep_connections_waiting(
    start_service: StartService, stopped: Callable[[Service, ExitStack], int]
):
    """The one with the least to do is stopped, so the other one accepts what is left to it."""
    service = start_service().ready()
    with ExitStack() as stack:
        idle = stopped(service, stack)
        for _ in range(3):
            assert service.get()["pid"] != idle


@pytest.fixture
def stopped() -> Callable[[Service, ExitStack], int]:
    """stopped(service, stack): stop the process that has the least to do, and return its id."""

    def stop(service: Service, stack: ExitStack) -> int:
        held = hold(service)
        (idle,) = service.pids - {held.pid}
        os.kill(idle, signal.SIGSTOP)
        stack.callback(os.kill, idle, signal.SIGCONT)
        # Until it has stopped, the kernel may wake it for a connection, and then wakes no other process.
        wait_for(lambda: state_of(idle), "T".__eq__)
        return idle

    return stop
