"""Which connections count as busy when processes divide new connections."""

from __future__ import annotations

import pytest

from calotype_server import busy
from calotype_server.busy import Busy


class Clock:
    """A clock that a test sets."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(busy, "time", clock)
    return clock


def none(_: int) -> bool:
    return False


def test_a_connection_is_busy_in_the_second_of_its_request_and_in_the_next(clock):
    connections = Busy()
    connections.count(none)
    connections.add(7)
    counts = []
    for second in range(4):
        clock.now = 100.0 + second
        counts.append(connections.count(none))
    assert counts == [1, 1, 0, 0]


def test_a_connection_stays_busy_while_its_request_runs(clock):
    connections, running = Busy(), {7}
    connections.add(7)
    for second in range(5):
        clock.now = 100.0 + second
        assert connections.count(running.__contains__) == 1
    running.clear()
    clock.now = 105.0
    connections.count(running.__contains__)
    clock.now = 106.0
    assert connections.count(running.__contains__) == 0


def test_a_connection_counts_once_however_many_requests_it_sends(clock):
    connections = Busy()
    for _ in range(5):
        connections.add(7)
        connections.add(8)
    assert connections.count(none) == 2


def test_a_closed_connection_is_not_busy(clock):
    connections = Busy()
    connections.add(7)
    clock.now = 101.0
    connections.count(none)
    connections.remove(7)
    assert connections.count(none) == 0
