"""Clients that are slow, idle, numerous or gone: each has a limit, and none ends the process."""

from __future__ import annotations

import contextlib
import random
import resource
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from calotype_server.channel import Channel
from tests.edge.conftest import StartEdge
from tests.edge.serving import Edge
from tests.support.answers import statuses
from tests.support.waiting import wait_for
from tests.support.wire import PATIENCE, answer, chunks, head, read_to_end, reset


@contextlib.contextmanager
def dripping(connection: socket.socket, drop: bytes = b"x") -> Iterator[None]:
    """Send bytes ten times a second within the block, until the server closes the connection."""
    done = threading.Event()

    def drip() -> None:
        with contextlib.suppress(OSError):
            while not done.wait(0.1):
                connection.sendall(drop)

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


DRIPS = {
    "a first line": b"G",
    "a head": b"GET /ok HTTP/1.1\r\nHost: x\r\nX-a: ",
    "a body read first": head("/sum", "Content-Length: 2000"),
    "a body that streams": head("/sum", "Content-Length: 1000000"),
    "a chunk": head("/sum", "Transfer-Encoding: chunked") + b"ffff\r\n",
    "a chunk's extension": head("/sum", "Transfer-Encoding: chunked") + b"ff;",
}


@pytest.mark.parametrize("start", DRIPS.values(), ids=DRIPS)
def test_w14_a_client_that_sends_too_slowly_is_disconnected(start_edge: StartEdge, start: bytes):
    edge = start_edge(header_timeout=1, body_timeout=1)
    with edge.connect() as connection:
        connection.sendall(start)
        with dripping(connection):
            read_to_end(connection)  # TimeoutError if it does not end
    assert edge.get() == 200


QUICK_DRIPS = {
    "a chunked document": head("/careless", "Transfer-Encoding: chunked", "Content-Type: application/json"),
    "a long document": head("/careless", "Content-Length: 1000000", "Content-Type: application/json"),
    "a document that is one only to the application": head("/document", "Transfer-Encoding: chunked"),
}


@pytest.mark.parametrize("start", QUICK_DRIPS.values(), ids=QUICK_DRIPS)
def test_r1_d4_a_document_has_a_fixed_timeout_however_steadily_it_arrives(
    start_edge: StartEdge, start: bytes
):
    """r1-D4: the timeout applies even if a document arrives faster than the minimum rate of uploads."""
    edge = start_edge(document_timeout=1)
    with edge.connect() as connection:
        connection.sendall(start + (b"ffffff\r\n" if b"chunked" in start else b""))
        with dripping(connection, b"x" * 500):
            assert statuses(read_to_end(connection)) == [408]


def test_r1_d4_a_short_document_that_arrives_too_slowly_times_out(start_edge: StartEdge):
    """r1-D4: the server reads such a document before the application runs."""
    edge = start_edge(document_timeout=1, header_timeout=1)
    with edge.connect() as connection:
        connection.sendall(head("/sum", "Content-Length: 200000", "Content-Type: application/json"))
        with dripping(connection, b"x" * 500):
            read_to_end(connection)
    assert edge.app.paths == []


def test_an_idle_connection_is_closed_in_time(start_edge: StartEdge):
    edge = start_edge(channel_timeout=1)
    with edge.connect() as silent, edge.connect() as served:
        served.sendall(head("/ok", method="GET"))
        assert answer(served)[0] == 200
        assert read_to_end(silent) == read_to_end(served) == b""


def test_a_connection_whose_request_runs_for_long_is_not_closed_as_idle(start_edge: StartEdge):
    edge = start_edge(channel_timeout=1, header_timeout=1, body_timeout=1, send_timeout=1)
    with edge.connect() as connection, edge.connect() as idle:
        # Behind it stands half a head, which is not read while it runs.
        half = head("/ok", "Connection: close", method="GET")
        connection.sendall(head("/hold", "Content-Length: 2") + b"hi" + half[:10])
        assert edge.app.begun.acquire(timeout=PATIENCE)
        assert read_to_end(idle) == b""  # so long it took
        edge.app.go_on.set()
        assert answer(connection) == (200, b"2")
        connection.sendall(half[10:])
        assert statuses(read_to_end(connection)) == [200]


def test_w07_w09_a_thousand_reset_connections_do_not_disturb_later_requests(edge: Edge):
    randomness = random.Random(2)
    requests = [
        b"",
        b"GET /ok HTT",
        head("/ok", method="GET"),
        head("/file", method="GET"),
        head("/blocks?count=3", method="GET"),
        head("/sum", "Content-Length: 1000000") + b"x" * 1000,
        head("/sum", "Transfer-Encoding: chunked") + b"5\r\nhel",
        head("/sum", "Content-Length: 100") + b"x",
        head("/refuse", "Content-Length: 1000000") + b"x" * 1000,
        head("/ok", "X: a\nb"),
    ]
    for _ in range(1000):
        connection = edge.connect()
        connection.sendall(randomness.choice(requests))
        reset(connection)
    assert edge.get() == 200
    assert edge.runs
    with edge.connect() as connection:
        connection.sendall(head("/sum", "Transfer-Encoding: chunked") + chunks(b"still there"))
        assert answer(connection)[0] == 200
    assert not {type(failure).__name__ for failure in edge.app.failures} - {"ClientGone"}


def test_w07_only_the_thread_that_polls_closes_a_reset_connection(
    edge: Edge, monkeypatch: pytest.MonkeyPatch
):
    """A connection that a worker closes can be polled afterwards, and this would end the server."""
    close, threads = Channel.handle_close, set()

    def record(channel: Channel) -> None:
        threads.add(threading.current_thread().name)
        close(channel)

    monkeypatch.setattr(Channel, "handle_close", record)
    connection = edge.connect()
    connection.sendall(head("/hold", method="GET"))
    assert edge.app.begun.acquire(timeout=PATIENCE)
    reset(connection)
    edge.app.go_on.set()  # now a worker finds the connection broken
    wait_for(lambda: threads)
    assert threads == {"edge"}


def test_w09_a_connection_that_is_reset_while_its_request_runs_costs_the_loop_no_time(edge: Edge):
    connection = edge.connect()
    connection.sendall(head("/hold", "Content-Length: 2") + b"hi")
    assert edge.app.begun.acquire(timeout=PATIENCE)
    reset(connection)
    assert edge.get() == 200
    before = edge.loop_seconds
    edge.app.go_on.wait(2)
    assert edge.loop_seconds - before < 0.1


def test_half_closed_connections_are_answered_and_closed(edge: Edge):
    assert statuses(edge.speak(head("/ok", method="GET"), hang_up=True)) == [200]
    assert edge.speak(b"GET /ok HTT", hang_up=True) == b""
    assert edge.speak(hang_up=True) == b""
    assert statuses(edge.speak(head("/sum", "Content-Length: 3") + b"abc", hang_up=True)) == [200]


def test_w15_connections_with_descriptors_above_1024_are_served(start_edge: StartEdge):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    try:
        edge = start_edge(connection_limit=3000)
        with ExitStack() as stack:
            connections = [stack.enter_context(edge.connect()) for _ in range(1100)]
            assert edge.get() == 200
            for connection in (connections[0], connections[-1]):
                connection.sendall(head("/ok", method="GET"))
                assert answer(connection) == (200, b"ok")
                connection.sendall(head("/hold", "Transfer-Encoding: chunked"))
                assert edge.app.begun.acquire(timeout=PATIENCE)
                connection.sendall(chunks(b"hello"))  # a worker waits for these bytes
                edge.app.go_on.set()
                assert answer(connection) == (200, b"5")
        assert edge.get() == 200
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_an_address_gets_no_more_connections_than_its_limit(start_edge: StartEdge):
    edge = start_edge(connections_per_address=3, uncounted_addresses="")
    with edge.connect() as one, edge.connect(), edge.connect():
        one.sendall(head("/ok", method="GET"))
        assert answer(one)[0] == 200
        with edge.connect() as another:
            assert read_to_end(another) == b""
        one.sendall(head("/ok", "Connection: close", method="GET"))
        assert statuses(read_to_end(one)) == [200]
        assert edge.get() == 200


def test_a_proxy_on_the_same_machine_may_have_any_number(start_edge: StartEdge):
    edge = start_edge(connections_per_address=1)
    with edge.connect(), edge.connect():
        assert edge.get() == 200
