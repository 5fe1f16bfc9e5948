"""Deadlines of a connection: when its client counts as late."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from calotype_server.channel import Channel
from calotype_server.settings import ServerSettings


class Answering(Channel):
    """A connection with a pending response, without a server."""

    def __init__(self, connection: socket.socket):
        self.socket = connection
        self.adj = ServerSettings(send_timeout=10)
        self.requests, self.request = [], None
        self.will_close = self.is_cut = False
        self.total_outbufs_len, self.last_activity = 0, 0.0

    def cut(self) -> None:
        self.is_cut = True

    def look(self, now: float, waiting: int) -> bool:
        """Return whether the server cuts the connection while this number of bytes is unacknowledged."""
        self.total_outbufs_len = waiting
        self.enforce_deadlines(now)
        return self.is_cut


@dataclass(frozen=True)
class Connection:
    """Return both ends of a connection."""

    client: socket.socket
    server: socket.socket


@pytest.fixture
def connection() -> Iterator[Connection]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        with client, listener.accept()[0] as server:
            yield Connection(client, server)


def test_responses_of_equal_size_are_not_mistaken_for_a_stalled_response(connection: Connection) -> None:
    """The client reads each response at once, but each check for a stall runs just before the read."""
    channel = Answering(connection.server)
    for second in range(100, 200):
        assert not channel.look(second, waiting=500)
        channel.send(b"x" * 500)
        assert len(connection.client.recv(500)) == 500


def test_a_response_after_a_long_silence_has_the_full_timeout(connection: Connection) -> None:
    channel = Answering(connection.server)
    channel.last_activity = 1e9
    assert not channel.look(100, waiting=500)
    assert not channel.look(101, waiting=0)
    assert not channel.look(150, waiting=0)
    assert not channel.look(151, waiting=500)


def test_a_connection_is_cut_if_the_client_stops_reading_the_response(connection: Connection) -> None:
    channel = Answering(connection.server)
    assert not channel.look(100, waiting=500)
    assert not channel.look(109, waiting=500)
    assert channel.look(110, waiting=500)
