"""Responses: the kernel sends files, without a worker; blocks are sent at the client's pace."""

from __future__ import annotations

import io
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from calotype_server.sending import BlockBuffer, FileBuffer
from tests.edge.applications import Application
from tests.edge.conftest import StartEdge
from tests.edge.serving import Edge
from tests.support.answers import statuses
from tests.support.wire import PATIENCE, answer, head, read_to_end

MIB = 1 << 20


@pytest.fixture
def content(file: Path) -> bytes:
    """The content of the file."""
    return file.read_bytes()


@pytest.mark.parametrize(
    ("at", "length"), [(0, 20 * MIB), (1, 20 * MIB - 1), (12_345_678, 1), (5 * MIB, 7 * MIB), (20 * MIB, 0)]
)
def test_a_file_is_sent_from_its_position_up_to_the_declared_length(edge: Edge, content: bytes, at, length):
    with edge.connect() as connection:
        for _ in range(2):
            connection.sendall(head(f"/file?at={at}&length={length}", method="GET"))
            status, body = answer(connection)
            assert status == 200
            assert body == content[at : at + length]


def test_pipelined_requests_for_files_are_answered_in_order(edge: Edge, content: bytes):
    last = head("/file?length=3000000", "Connection: close", method="GET")
    said = edge.speak(head("/file", method="GET") + head("/ok", method="GET") + last)
    assert statuses(said)[:1] == [200]
    _, _, rest = said.partition(b"\r\n\r\n")
    assert rest[: len(content)] == content
    assert statuses(rest[len(content) : len(content) + 20]) == [200]
    assert said.endswith(content[:3_000_000])


@pytest.mark.parametrize("version", ["1.1", "1.0"])
def test_a_head_gets_the_applications_headers_and_leaves_the_connection_open(edge: Edge, version: str):
    """r1-B4: no body follows. Without a length, there are no chunks and the connection stays open."""
    with edge.connect() as connection:
        for path in ("/file", "/unmeasured", "/blocks", "/unmeasured"):
            request = head(path, "Connection: keep-alive", method="HEAD").replace(
                b"HTTP/1.1", b"HTTP/" + version.encode()
            )
            connection.sendall(request)
            said = connection.recv(65536)
            assert said.startswith(b"HTTP/%b 200 OK\r\n" % version.encode())
            assert said.endswith(b"\r\n\r\n")
            assert (b"\r\nContent-Length: " in said) == (path != "/unmeasured")
            assert b"Transfer-Encoding" not in said
            assert b"Connection: close" not in said
        connection.sendall(head("/ok", method="GET"))
        assert answer(connection) == (200, b"ok")


def test_a_file_can_be_sent_through_a_unix_socket(app: Application, tmp_path: Path, content: bytes):
    path = str(tmp_path / "socket")
    edge = Edge(app, unix_socket=path)
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(PATIENCE)
            connection.connect(path)
            connection.sendall(head("/file", method="GET"))
            assert answer(connection) == (200, content)
    finally:
        edge.stop()


def test_a_reader_of_a_file_holds_no_worker(start_edge: StartEdge, content: bytes):
    edge = start_edge(threads=1, upload_threads=1)
    with edge.connect() as first, edge.connect() as second, edge.connect() as third:
        for connection in (first, second, third):
            connection.sendall(head("/file", method="GET"))
        assert edge.get() == 200
        for connection in (first, second, third):
            assert answer(connection) == (200, content)


def test_a_file_shorter_than_declared_is_an_error_and_not_a_short_response(edge: Edge):
    assert statuses(edge.speak(head("/file?length=99999999", method="GET"))) == [500]
    assert edge.get() == 200


def test_truncating_a_file_while_it_is_sent_ends_the_connection(edge: Edge, tmp_path: Path):
    path = tmp_path / "shrinking"
    path.write_bytes(bytes(64 * MIB))
    edge.app._file = path
    with edge.connect() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        connection.sendall(head("/file", method="GET"))
        assert connection.recv(1000).startswith(b"HTTP/1.1 200 OK")
        path.write_bytes(bytes(1000))
        assert len(read_to_end(connection)) < 64 * MIB
    assert edge.get() == 200


def test_objects_that_are_not_real_files_are_read_as_waitress_reads_them():
    buffer = FileBuffer(io.BytesIO(b"0123456789"))
    assert buffer.prepare(4) == 4
    assert bytes(buffer.get(100)) == b"0123"


def test_a_file_that_sendfile_cannot_send_is_read_from_the_same_position(tmp_path: Path):
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    with path.open("rb") as file, (tmp_path / "log").open("ab") as log:  # sendfile cannot append
        file.seek(2)
        buffer = FileBuffer(file)
        assert buffer.prepare() == 8
        buffer.skip(3)
        part = buffer.get(100)
        assert len(part) == 5
        assert part.buffer.send(log.fileno(), 5) == 0
        assert buffer.get(100) == b"56789"


@pytest.mark.parametrize("size", [1000, 700_000])
def test_blocks_of_any_size_arrive_in_order_at_a_slow_reader(edge: Edge, content: bytes, size: int):
    with edge.connect() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        for _ in range(2):
            connection.sendall(head(f"/pieces?size={size}", method="GET"))
            edge.app.go_on.wait(0.2)
            assert answer(connection) == (200, content)


def test_a_large_block_waits_for_the_client_without_a_copy():
    block = b"0123456789"
    buffer = BlockBuffer(block)
    assert buffer.get(4).obj is block
    buffer.skip(4)
    assert (len(buffer), bytes(buffer.get(4)), bytes(buffer.get())) == (6, b"4567", b"456789")
    buffer.close()
    assert len(buffer) == 0


@pytest.fixture
def greedy(start_edge: StartEdge) -> Iterator[Edge]:
    """A server with two threads, and four clients that do not read their responses."""
    edge = start_edge(threads=2, kept_threads=0, upload_threads=1, send_timeout=5)
    readers = []
    for _ in range(4):
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(PATIENCE)
        connection.connect(edge.address)
        connection.sendall(head("/blocks", method="GET"))
        readers.append(connection)
    yield edge
    for connection in readers:
        connection.close()


def test_w13_clients_that_do_not_read_occupy_no_thread_and_are_disconnected(greedy: Edge):
    for _ in range(5):
        assert greedy.get() == 200
    assert greedy.app.paths.count("/blocks") == 4
    assert not greedy.app.closed.acquire(blocking=False)  # all four responses are still under way
    for _ in range(4):
        assert greedy.app.closed.acquire(timeout=PATIENCE)
    assert greedy.get() == 200


def test_a_slow_reader_gets_the_complete_response(start_edge: StartEdge):
    edge = start_edge(send_timeout=1)
    with edge.connect() as connection:
        connection.sendall(head("/blocks?count=30", "Connection: close", method="GET"))
        pause, got = edge.app.go_on, b""
        for _ in range(30):  # far longer than the timeout in all
            got += connection.recv(65536)
            pause.wait(0.1)
        assert len(got + read_to_end(connection)) > 30 * MIB
