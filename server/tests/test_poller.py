"""When the event loop wakes up, and which events it watches."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from calotype_server.poller import Poller
from calotype_server.server import Server, create_server
from calotype_server.spread import Loads, Share

#: Seconds that a test waits for anything, and after which the loop wakes up without an event.
_PATIENCE = 30


@dataclass
class Application:
    """An application that answers at once, waits for `go_on`, or waits in the middle of its response."""

    begun: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    go_on: threading.Event = field(default_factory=threading.Event)

    def __call__(self, environ, start_response):
        if environ["PATH_INFO"] == "/hold":
            self._hold()
        start_response("200 OK", [("Content-Length", "2")])
        return self._halves() if environ["PATH_INFO"] == "/halves" else [b"ok"]

    def _halves(self):
        yield b"o"
        self._hold()
        yield b"k"

    def _hold(self):
        self.begun.release()
        self.go_on.wait(_PATIENCE)


@dataclass
class Running:
    """A server that runs in a thread, as the only process of its kind."""

    app: Application
    server: Server
    thread: threading.Thread
    loads: Loads

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", int(self.server.effective_port)), timeout=_PATIENCE)

    def is_served(self) -> bool:
        (channel,) = self.server.listeners[0].active_channels.values()
        return channel.is_served

    def loop_seconds(self) -> float:
        assert self.thread.ident is not None
        return time.clock_gettime(time.pthread_getcpuclockid(self.thread.ident))


@pytest.fixture
def running() -> Iterator[Running]:
    app = Application()
    server = create_server(app, listen="127.0.0.1:0", asyncore_loop_timeout=_PATIENCE)
    loads, (lifeline, writer) = Loads(1), os.pipe()
    server.join(Share(loads, 0), lifeline, server.stop)
    thread = threading.Thread(target=server.run)
    thread.start()
    yield Running(app, server, thread, loads)
    app.go_on.set()
    server.stop()
    thread.join(2 * _PATIENCE)
    for descriptor in (lifeline, writer, *loads.bells):
        os.close(descriptor)


@contextmanager
def asked(running: Running, path: str) -> Iterator[socket.socket]:
    """Send a request on a new connection, which is open within the block."""
    with running.connect() as connection:
        connection.sendall(request(path))
        yield connection


def request(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


def bodies(connection: socket.socket, count: int = 1) -> list[bytes]:
    """Return the bodies of the next responses."""
    got = b""
    while len(found := re.findall(rb"\r\n\r\n(..)", got)) < count:
        block = connection.recv(65536)
        assert block
        got += block
    return found


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + _PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def test_the_end_of_a_request_does_not_wake_the_loop(running, monkeypatch):
    turns = []
    turn = Poller.turn
    monkeypatch.setattr(Poller, "turn", lambda poller, timeout: turns.append(1) or turn(poller, timeout))
    with running.connect() as connection:
        for _ in range(6):
            connection.sendall(request("/ok"))
            assert bodies(connection) == [b"ok"]
            wait_for(lambda: not running.is_served())
    assert len(turns) < 10  # one or two for the connection, and one for each request


def test_bytes_that_arrive_while_a_request_runs_are_read_afterwards(running):
    with asked(running, "/hold") as connection:
        assert running.app.begun.acquire(timeout=_PATIENCE)
        before = running.loop_seconds()
        connection.sendall(request("/ok"))
        assert not running.app.go_on.wait(1)
        assert running.loop_seconds() - before < 0.1
        running.app.go_on.set()
        assert bodies(connection, 2) == [b"ok", b"ok"]


def test_the_server_reads_no_further_requests_while_one_runs(running):
    """Otherwise a client could fill the server's memory."""
    limit, sent = 8 << 20, 0
    further = b"GET /ok HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 8000 + b"\r\n\r\n"
    with asked(running, "/hold") as connection:
        assert running.app.begun.acquire(timeout=_PATIENCE)
        connection.settimeout(2)
        with contextlib.suppress(TimeoutError):
            while sent < limit:
                sent += connection.send(further)
    assert sent < limit


def test_a_server_that_ends_wakes_up_at_the_end_of_its_last_request(running):
    with asked(running, "/halves") as connection:
        assert running.app.begun.acquire(timeout=_PATIENCE)
        running.server.stop()
        wait_for(lambda: running.server.listeners[0].ending)
        time.sleep(0.1)  # now the loop waits
        began = time.monotonic()
        running.app.go_on.set()
        assert bodies(connection) == [b"ok"]
        running.thread.join(2 * _PATIENCE)
        assert time.monotonic() - began < _PATIENCE / 2
