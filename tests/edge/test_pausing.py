"""Responses that pause, and requests that run again, without a worker (`calotype_server.pausable`)."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from calotype_server.pausing import PAUSABLE, Pause
from tests.edge.serving import Edge
from tests.support.waiting import wait_for
from tests.support.wire import read_to_end

STREAM = b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n"
AGAIN = b"GET /again HTTP/1.1\r\nHost: x\r\n\r\n"


class Pausing:
    """An application with a stream, a request that runs again, and one that answers at once."""

    def __init__(self) -> None:
        self.pauses: list[Pause] = []
        self.ended: list[str] = []
        self.blocks: list[bytes] = []
        self.runs = 0
        self.block = b"news"
        self.holds: Callable[[], object] = lambda: None

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        pause: Pause = environ[PAUSABLE]
        path = environ["PATH_INFO"]
        if path == "/stream":
            pause.enable()
            pause.at_end(lambda: self.ended.append("stream"))
            self.pauses.append(pause)
            start_response("200 OK", [("Content-Type", "text/event-stream")])
            return self._stream(pause)
        if path == "/again" and not pause.memory.get("runs"):
            pause.memory["runs"] = 1
            pause.at_end(lambda: self.ended.append("again"))
            pause.run_again()
            self.pauses.append(pause)
            start_response("204 No Content", [("X-Wrong", "yes")])
            return []
        self.runs += 1
        start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]

    def _stream(self, pause: Pause) -> Iterator[bytes]:
        try:
            yield b"begin "
            while not pause.ending:
                yield b""
                self.holds()
                if self.blocks:
                    yield self.blocks.pop(0)
        finally:
            self.ended.append("body")


@pytest.fixture
def app() -> Pausing:
    return Pausing()


@pytest.fixture
def edge(app: Pausing) -> Iterator[Edge]:
    running = Edge(app, threads=1, kept_threads=0, cleanup_interval=1)
    yield running
    if running.runs:
        running.stop()


def begin(edge: Edge, app: Pausing, request: bytes = STREAM) -> socket.socket:
    """Send a request, and return its connection once the request has paused."""
    before = len(app.pauses)
    connection = edge.connect()
    connection.sendall(request)
    wait_for(lambda: len(app.pauses) > before and all(one.rests for one in edge.server._channels()))
    return connection


def read_until(connection: socket.socket, end: bytes) -> bytes:
    got = b""
    while not got.endswith(end):
        block = connection.recv(65536)
        assert block, got
        got += block
    return got


def test_a_response_that_pauses_holds_no_worker(edge: Edge, app: Pausing) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(begin(edge, app))
        assert edge.get("/ok") == 200
        channels = edge.server.listeners[0].active_channels
        # The worker of /ok may not have returned yet.
        wait_for(lambda: not any(channel.is_served for channel in list(channels.values())), seconds=10)


def test_a_response_continues_after_each_wake(edge: Edge, app: Pausing) -> None:
    with begin(edge, app) as connection:
        read_until(connection, b"begin \r\n")
        for text in (b"first", b"second"):
            app.blocks.append(text)
            app.pauses[0].wake()
            assert read_until(connection, text + b"\r\n").endswith(text + b"\r\n")


def test_a_wake_before_the_pause_is_not_lost(edge: Edge, app: Pausing) -> None:
    woken = threading.Event()

    def wake_while_running() -> None:
        if not woken.is_set():
            woken.set()
            app.blocks.append(b"late")
            app.pauses[0].wake()

    app.holds = wake_while_running
    with begin(edge, app) as connection:
        app.pauses[0].wake()
        read_until(connection, b"late\r\n")


def test_a_request_runs_again_after_a_wake_and_only_the_last_response_is_sent(edge: Edge, app: Pausing):
    with begin(edge, app, AGAIN) as connection:
        assert edge.get("/ok") == 200
        app.pauses[0].wake()
        head = read_until(connection, b"ok")
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"X-Wrong" not in head
        connection.sendall(b"GET /ok HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert read_to_end(connection).endswith(b"ok")
    assert wait_for(lambda: app.ended == ["again"])


@pytest.mark.parametrize(("request_bytes", "ends"), [(STREAM, ["body", "stream"]), (AGAIN, ["again"])])
def test_a_client_that_leaves_during_a_pause_ends_its_request(
    edge: Edge, app: Pausing, request_bytes: bytes, ends: list[str]
) -> None:
    begin(edge, app, request_bytes).close()
    wait_for(lambda: app.ended == ends)
    wait_for(lambda: edge.server._channels() == [])
    app.pauses[0].wake()  # a late wake does no harm
    assert edge.get("/ok") == 200


def test_a_reset_during_a_pause_ends_the_request(edge: Edge, app: Pausing) -> None:
    connection = begin(edge, app)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    connection.close()
    wait_for(lambda: app.ended == ["body", "stream"])


def test_the_end_of_the_server_ends_responses_that_pause(edge: Edge, app: Pausing) -> None:
    with begin(edge, app) as connection:
        edge.stop()
        assert read_to_end(connection).endswith(b"\r\n0\r\n\r\n")
    assert app.ended == ["body", "stream"]


def test_a_response_that_ignores_the_end_of_the_server_is_cut(edge: Edge, app: Pausing) -> None:
    def ignore(pause: Pause) -> Iterator[bytes]:
        while True:
            yield b"" if app.runs else b"begin "
            app.runs = 1

    app._stream = ignore  # type: ignore[method-assign]
    with begin(edge, app) as connection:
        edge.stop()
        assert not read_to_end(connection).endswith(b"0\r\n\r\n")


def test_a_slow_client_is_not_sent_more_until_it_has_taken_what_waits(edge: Edge, app: Pausing) -> None:
    with begin(edge, app) as connection:
        app.blocks += [b"x" * (8 << 20), b"y", b"z"]
        for _ in range(3):
            app.pauses[0].wake()
        wait_for(lambda: len(app.blocks) == 2)
        app.pauses[0].wake()
        assert edge.get("/ok") == 200
        assert len(app.blocks) == 2
        got = read_until(connection, b"y\r\n")
        assert len(got) > 8 << 20


def test_an_empty_block_of_a_response_that_never_asked_to_pause_is_skipped() -> None:
    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [b"a", b"", b"b"]

    running = Edge(application)
    try:
        assert b"a" in running.speak(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    finally:
        running.stop()
