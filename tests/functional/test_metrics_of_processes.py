"""Metrics of a service with several processes: a scrape of any of them reports the service."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import signal
import stat
import urllib.request
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from calotype.api.http.shared_metrics import SharedMetrics
from tests.conftest import StartServer
from tests.edge.processes import connected, runs
from tests.functional.test_processes import COMMAND, pids
from tests.servers.common import free_ports
from tests.support.disks import NoDisk, small_disk
from tests.support.server import Server
from tests.support.waiting import wait_for

HEADS = ("calotype_request_seconds_count", {"method": "HEAD", "status": "4xx"})
BUCKET = ("calotype_request_seconds_bucket", {"le": "+Inf", "method": "HEAD", "status": "4xx"})
UNKNOWN = "/images/00000000-0000-4000-8000-000000000000"


class Watched:
    """A server with an admin listener, whose temporary files are in a folder of its own."""

    def __init__(
        self,
        start: StartServer,
        folder: Path,
        processes: int = 2,
        within: tuple[str, ...] = (),
        **given: str,
    ):
        self.folder = folder
        (self._port,) = free_ports(1)
        settings = {"calotype.metrics": "true", "calotype.admin_listen": f"127.0.0.1:{self._port}"}
        env = {**COMMAND, "TMPDIR": str(folder), **given}
        self.server: Server = start(settings, {"processes": str(processes)}, env=env, within=within)
        self._processes = processes
        pids(self.server, processes)
        if processes > 1:
            wait_for(lambda: f"{processes} of {processes} processes serve" in self.server.log)

    def kill(self) -> None:
        """Kill all serving processes, and return when others serve."""
        killed = self.pids
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        self._await_others(killed)

    def reload(self) -> None:
        """Reload, and return when the older processes have ended."""
        before = self.pids
        self.server.process.send_signal(signal.SIGHUP)
        self._await_others(before)

    @property
    def pids(self) -> set[int]:
        """The ids of the supervisor's processes."""
        supervisor = self.server.process.pid
        return set(map(int, Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()))

    def _await_others(self, before: set[int]) -> None:
        wait_for(lambda: not any(map(runs, before)))
        wait_for(lambda: len(self.pids) == self._processes and self.server.get("/healthz").status == 200)

    def scrape(self) -> dict[tuple[str, frozenset], float]:
        """Return the samples of one scrape by name and labels."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/metrics", timeout=15) as answer:
            text = answer.read().decode()
        samples = [one for family in text_string_to_metric_families(text) for one in family.samples]
        found = {(one.name, frozenset(one.labels.items())): one.value for one in samples}
        assert len(found) == len(samples), "no sample may be reported twice"
        return found

    def value(self, name: str, labels: dict[str, str]) -> float | None:
        """Return the value of one sample; None if it is absent."""
        return self.scrape().get((name, frozenset(labels.items())))

    def send_heads(self, count: int = 30) -> None:
        """Send requests on eight connections at a time, which the processes share."""
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(connected(self.server.port)) for _ in range(8)]
            for client in clients:
                client.connect()
            for client in itertools.islice(itertools.cycle(clients), count):
                client.request("HEAD", UNKNOWN)
                assert client.getresponse().read() == b""

    def same(self, sample: tuple[str, dict[str, str]]) -> set[float | None]:
        """Return the values that ten scrapes report, which any process may answer."""
        return {self.value(*sample) for _ in range(10)}

    def files(self) -> list[Path]:
        """Return the shared files."""
        return [path for path in self.folder.glob("calotype-*/*") if path.is_file()]

    def numbers(self) -> set[str]:
        """Return the numbers that the processes hold, or held."""
        return {path.stem for path in self.files() if path.suffix == ".lock"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder for temporary files."""
    path = tmp_path / "temporary"
    path.mkdir()
    return path


@pytest.fixture
def watched(start_server: StartServer, folder: Path) -> Watched:
    """A server of two processes."""
    return Watched(start_server, folder)


def test_each_scrape_reports_the_sum_of_all_processes(watched: Watched) -> None:
    def send_and_count() -> list[float]:
        watched.send_heads()
        files = [path for path in watched.files() if path.name.startswith("histogram")]
        alone = [family for path in files for family in SharedMetrics.merge([str(path)])]
        return [one.value for family in alone for one in family.samples if one[:2] == HEADS]

    # On a busy machine, one process may accept all connections.
    counts = wait_for(send_and_count, lambda counts: len(counts) == 2)
    assert watched.same(HEADS) == {sum(counts)}
    assert watched.same(BUCKET) == {sum(counts)}
    assert sum(counts) % 30 == 0


def test_killed_processes_are_still_counted_and_the_next_ones_continue(watched: Watched) -> None:
    watched.send_heads()
    for _ in range(2):
        watched.kill()
    assert watched.same(HEADS) == {30}
    watched.send_heads()
    assert watched.same(HEADS) == {60}
    assert watched.numbers() == {"0", "1"}


def test_a_reload_keeps_the_counts(watched: Watched) -> None:
    watched.send_heads()
    for _ in range(2):
        watched.reload()
    assert watched.same(HEADS) == {30}
    watched.send_heads()
    assert watched.same(HEADS) == {60}
    assert len({path.parent for path in watched.files()}) == 1
    assert watched.numbers() <= {"0", "1", "2", "3"}


def test_the_shared_files_are_private_and_are_removed_at_the_end(watched: Watched) -> None:
    watched.send_heads()
    files = watched.files()
    assert len(files) >= 4
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert {stat.S_IMODE(path.parent.stat().st_mode) for path in files} == {0o700}
    with pytest.raises(BlockingIOError):  # so systemd-tmpfiles does not clean it up
        fcntl.flock(os.open(files[0].parent, os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert watched.server.stop() == 0
    assert list(watched.folder.iterdir()) == []


def test_one_process_shares_no_files(start_server: StartServer, folder: Path) -> None:
    watched = Watched(start_server, folder, processes=1)
    watched.send_heads()
    assert watched.same(HEADS) == {30}
    assert list(folder.iterdir()) == []


def test_the_gauges_of_stores_combine_the_live_processes(watched: Watched) -> None:
    state = ("calotype_store_state", {"store": "file", "state": "ok"})
    free = ("calotype_store_free_bytes", {"store": "file"})
    wait_for(lambda: watched.value(*state) == 1 and watched.value(*free))
    watched.server.upload(b"bytes")
    found = watched.scrape()
    assert found["calotype_store_hanging_calls", frozenset({("store", "file")})] == 0
    assert found["calotype_locations", frozenset({("status", "stored")})] == 1


def test_an_unwritable_directory_fails_no_request(start_server: StartServer, tmp_path: Path) -> None:
    """The operator's variable takes precedence. Nothing can be written in /proc/self/fdinfo, even by root."""
    watched = Watched(start_server, tmp_path, PROMETHEUS_MULTIPROC_DIR="/proc/self/fdinfo")
    watched.send_heads()
    assert "this process counts its metrics alone, because it cannot share them" in watched.server.log
    # The process that answers the scrape may have answered no HEAD.
    assert (watched.value(*HEADS) or 0) in range(31)
    assert "Traceback" not in watched.server.log


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to start a server in a mount namespace")
def test_a_full_disk_ends_no_process_and_fails_no_request(start_server: StartServer, folder: Path) -> None:
    """Without reserved space, the kernel kills a process that writes to a page for which there is no room."""
    with contextlib.ExitStack() as stack:
        try:
            disk = stack.enter_context(small_disk(folder, "512k"))
        except NoDisk:
            if "CI" in os.environ:
                raise
            pytest.skip("needs the right to mount a file system")
        within = ("nsenter", f"--mount=/proc/{disk.parts[2]}/ns/mnt", "--")
        watched = Watched(start_server, folder, within=within)
        before = watched.pids
        free = os.statvfs(disk)
        with (disk / "filler").open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_frsize)
        watched.send_heads()
        image = watched.server.upload(b"bytes")
        assert watched.server.get(f"/images/{image['id']}").body == b"bytes"
        assert "is not counted in this process until it ends" in watched.server.log
        assert watched.scrape()
        assert watched.pids == before
        assert "Traceback" not in watched.server.log
        watched.server.stop()


def test_the_directory_that_the_operator_names_is_used_and_kept(
    start_server: StartServer, folder: Path, tmp_path: Path
) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    watched = Watched(start_server, folder, PROMETHEUS_MULTIPROC_DIR=str(mine))
    watched.send_heads()
    assert watched.same(HEADS) == {30}
    assert list(folder.iterdir()) == []
    watched.server.stop()
    collected = {family.name: family for family in SharedMetrics(None, str(mine)).collect()}
    assert "calotype_request_seconds" in collected
    assert "calotype_store_state" not in collected, "a gauge of processes that have ended"
