"""Shutdown: running requests finish, idle connections close, and one signal suffices."""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

from tests.conftest import StartServer
from tests.edge.conftest import StartEdge
from tests.edge.processes import runs
from tests.edge.serving import Edge
from tests.support.answers import statuses
from tests.support.distributions import on_path, write_distribution
from tests.support.server import OCTETS, Server, StartFailed, meta
from tests.support.wire import PATIENCE, answer, chunks, head, read_to_end


def end(edge: Edge) -> threading.Thread:
    """Begin to stop the server."""
    ending = threading.Thread(target=edge.stop)
    ending.start()
    return ending


def await_refusal(port: int) -> None:
    """Return when nothing listens there any more."""
    with contextlib.suppress(OSError):
        while True:
            socket.create_connection(("127.0.0.1", port), timeout=PATIENCE).close()


def test_a_running_request_finishes_and_an_idle_connection_is_closed(start_edge: StartEdge):
    edge = start_edge()
    with edge.connect() as upload, edge.connect() as idle:
        upload.sendall(head("/sum", "Content-Length: 1000000") + b"x" * 1000)
        assert edge.app.begun.acquire(timeout=PATIENCE)
        ending = end(edge)
        assert read_to_end(idle) == b""
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(edge.address)
        upload.sendall(b"x" * 999_000)
        said = read_to_end(upload)
        ending.join()
    assert statuses(said) == [200]
    assert b"Connection: close" in said


def test_a_file_that_is_being_sent_arrives_completely(start_edge: StartEdge):
    edge = start_edge()
    with edge.connect() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        connection.sendall(head("/file", method="GET"))
        began = connection.recv(1000)
        ending = end(edge)
        said = began + read_to_end(connection)
        ending.join()
    assert len(said.partition(b"\r\n\r\n")[2]) == 20 << 20


def test_a_request_that_exceeds_the_drain_timeout_is_ended(start_edge: StartEdge):
    edge = start_edge(drain_timeout=1)
    with edge.connect() as connection:
        connection.sendall(head("/sum", "Content-Length: 1000000") + b"x" * 1000)
        assert edge.app.begun.acquire(timeout=PATIENCE)
        edge.stop()
        assert edge.app.failed.wait(PATIENCE)
        assert statuses(read_to_end(connection)) == []


def test_two_servers_can_share_a_port_and_one_of_them_may_end(start_edge: StartEdge):
    first = start_edge(reuse_port=True)
    host, port = first.address
    second = start_edge(listen=f"{host}:{port}", reuse_port=True)
    assert first.get() == 200
    first.stop()
    for _ in range(20):
        assert second.get() == 200


def test_a_server_without_requests_ends_at_once(start_edge: StartEdge):
    edge = start_edge(drain_timeout=600)
    with edge.connect() as connection:
        connection.sendall(head("/sum", "Transfer-Encoding: chunked") + chunks(b"abc"))
        assert answer(connection)[0] == 200
        edge.stop()
        assert read_to_end(connection) == b""


@contextlib.contextmanager
def uploading(server: Server) -> Iterator[socket.socket]:
    """Begin an upload of 1,000,000 bytes, and send the first half of them."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as connection:
        fields = {**OCTETS, **meta(name="last", is_public="True"), "Content-Length": "1000000"}
        connection.sendall(head("/images", *(f"{name}: {value}" for name, value in fields.items())))
        connection.sendall(b"x" * 500_000)
        while not server.query("SELECT id FROM images WHERE status = 'saving'"):
            assert server.process.poll() is None
        yield connection


@pytest.mark.parametrize("processes", [1, 2])
def test_sigterm_lets_an_upload_finish_and_exits_with_0(start_server: StartServer, processes: int):
    server = start_server(server={"processes": str(processes)})
    listed = server.readyz(lambda ready: len(ready.json.get("processes", ())) == processes)
    pids = {one["pid"] for one in listed.json["processes"]}
    assert (pids == {server.process.pid}) is (processes == 1)
    with uploading(server) as connection:
        server.process.send_signal(signal.SIGTERM)
        await_refusal(server.port)
        connection.sendall(b"x" * 500_000)
        assert statuses(read_to_end(connection)) == [200]
    assert server.process.wait(30) == 0
    assert server.query("SELECT status FROM images") == [("active",)]
    assert server.query("SELECT pid FROM processes") == []
    assert not any(map(runs, pids))


def test_a_shutdown_logs_the_requests_it_waits_for_and_a_second_signal_ends_it(start_server: StartServer):
    """r1-E8, r1-H11: the log has the number and age of the requests, and the effect of a second signal."""
    server = start_server(server={"drain_timeout": "10m"})
    with uploading(server):
        server.process.send_signal(signal.SIGINT)
        await_refusal(server.port)
        while "requests under way: 1;" not in server.log:
            assert server.process.poll() is None
        assert "in 600 seconds at the latest. A second SIGTERM or Ctrl-C ends it at once" in server.log
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(10) == -signal.SIGTERM


HANGING = {
    "hanging_driver.py": """
import threading
from concurrent.futures import ThreadPoolExecutor

from calotype.testing import MemoryStore


class HangingStore(MemoryStore):
    class Options(MemoryStore.Options):
        hangs: str = ""

    def hang(self, where):
        if where in self.options.hangs:
            threading.Event().wait()

    def add(self, key, source, size=None):
        stored = super().add(key, source, size)
        if key != "calotype-store-marker":
            ThreadPoolExecutor(thread_name_prefix="part").submit(self.hang, "pool")
            self.hang("add")
        return stored

    def check(self):
        self.hang("check")

    def close(self):
        self.hang("close")
"""
}


def start_hanging(
    start_server: StartServer, folder: Path, hangs: str, others: Mapping[str, str] = MappingProxyType({})
) -> Server:
    """A server whose second store never returns from some of its calls, with `others` of its settings."""
    plugin = write_distribution(folder, "test-hanging", {"hanging": "hanging_driver:HangingStore"}, HANGING)
    settings = {"calotype.stores": "file hanging", "store.hanging.hangs": hangs}
    limits = {"drain_timeout": "1", "end_timeout": "3", **others}
    return start_server(settings, limits, env=on_path(plugin))


def still_running(server: Server) -> str:
    """Return the log line that names the threads that ran at the end; "" if there is none."""
    lines = [line for line in server.log.splitlines() if "these threads still ran" in line]
    assert len(lines) <= 1
    return lines[0] if lines else ""


def test_r1_d3_a_request_in_a_store_that_hangs_is_ended_after_sigterm(
    start_server: StartServer, tmp_path: Path
):
    """r1-D3: a request that never ends is aborted after drain_timeout, and the log names it."""
    server = start_hanging(start_server, tmp_path, "add")
    fields = {**OCTETS, **meta(name="a", store="hanging"), "Content-Length": "3"}
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as connection:
        connection.sendall(head("/images", *(f"{name}: {value}" for name, value in fields.items())) + b"abc")
        while not server.query("SELECT id FROM images WHERE status = 'saving'"):
            assert server.process.poll() is None
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(10) == 1
    assert "store-hanging in hanging_driver.HangingStore.hang" in still_running(server)


def test_r1_d3_the_process_ends_after_sigterm_whatever_hangs(start_server: StartServer, tmp_path: Path):
    """r1-D3: neither a pool of threads that Python waits for nor the closing of a store delays the end."""
    server = start_hanging(start_server, tmp_path, "pool close")
    assert server.post("/images", {**OCTETS, **meta(name="a", store="hanging")}, b"abc").status == 200
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(10) == 0
    named = still_running(server)
    assert "part_0 in hanging_driver.HangingStore.hang" in named
    assert "store 'hanging': its driver does not close; the process ends without it" in server.log


def test_the_log_names_the_address_of_the_server(start_server: StartServer):
    server = start_server()
    assert f"listening on http://127.0.0.1:{server.port}" in server.log


def test_an_unknown_setting_stops_the_start_with_a_sentence(start_server: StartServer):
    with pytest.raises(StartFailed, match="unknown setting treads of the server"):
        start_server(server={"treads": "4"})


def test_an_address_that_is_taken_stops_the_start_with_a_sentence(start_server: StartServer):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with pytest.raises(StartFailed, match="calotype: cannot listen on 127"):
            start_server(server={"listen": f"127.0.0.1:{taken.getsockname()[1]}"})
