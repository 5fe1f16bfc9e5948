"""The relay that stands for a long line: how late bytes arrive, at which rate, and how it is cut."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.support.long_line import LongLine

MIB = 1 << 20


@pytest.fixture
def echo() -> Iterator[tuple[str, int]]:
    """The address of a server that sends back what it has received once its input has ended."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_serve, args=(listener,))
        thread.start()
        yield listener.getsockname()
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def _serve(listener: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            connection, _ = listener.accept()
            with connection, contextlib.suppress(ConnectionResetError):
                connection.sendall(_everything(connection))


def _everything(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(MIB), b""))


def send(line: LongLine, data: bytes) -> tuple[bytes, float]:
    """Return the answer through the line, and the seconds that it took."""
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", line.port), timeout=30) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        return _everything(connection), time.monotonic() - began


def test_a_short_exchange_takes_two_round_trips_as_after_a_handshake(echo: tuple[str, int]) -> None:
    with LongLine(*echo, delay=0.05) as line:
        answer, seconds = send(line, b"hello")

    assert answer == b"hello"
    assert 0.2 <= seconds < 0.6


def test_each_connection_has_the_whole_rate_in_each_direction(echo: tuple[str, int]) -> None:
    data = bytes(range(256)) * 8192
    with LongLine(*echo, rate=4 * MIB) as line:
        answer, seconds = send(line, data)

    assert answer == data
    assert 0.9 <= seconds < 2  # half a second in each direction


def test_a_reset_ends_a_connection_on_both_sides(echo: tuple[str, int]) -> None:
    with (
        LongLine(*echo, rate=MIB) as line,
        socket.create_connection(("127.0.0.1", line.port), timeout=30) as connection,
    ):
        connection.sendall(b"some")
        time.sleep(0.1)
        line.reset()
        with pytest.raises(ConnectionResetError):
            connection.recv(1)
        assert send(line, b"again")[0] == b"again"
