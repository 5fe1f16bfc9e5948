"""All processes, folders and mounts of a run end with it, even if it is killed. (r1-H12)"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import common
from tests.servers.test_fixtures import listens
from tests.support.waiting import wait_for

ROOT = Path(__file__).resolve().parents[2]
#: Timeout in seconds, on a busy machine, for starting servers and for ending a run.
PATIENCE = 90
#: The last step of each program, when all that it starts is running.
READY = "pathlib.Path(os.environ['READY']).touch(); time.sleep(600)"

TESTS = f"""
import os, pathlib, time

def test_that_uses_servers(postgres, nginx, start_server):
    nginx(start_server().base)
    {READY}
"""
BENCH = f"""
import os, pathlib, sys, time
sys.path.insert(0, "bench")
from crowd import meanwhile
from peers.nginx import Nginx
from server import Server
from testservers import common

with common.run_folder() as folder, Server(folder / "data"), meanwhile(1, lambda number: time.sleep(600)):
    peer = Nginx(folder / "nginx")
    peer.folder.mkdir()
    peer.prepare()
    peer.start()
    {READY}
"""
DISK = f"""
import os, pathlib, time
from tests.support.disks import small_disk

folder = pathlib.Path(os.environ["TMPDIR"], "disk")
folder.mkdir()
with small_disk(folder, "1m") as disk:
    (disk / "file").touch()
    assert disk.is_mount()
    assert list(folder.iterdir()) == []
    {READY}
"""


class World:
    """A folder that is in the environment, the arguments or the paths of all that a program starts."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.ready = folder / "ready"
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "SERVERS_CACHE") if name in os.environ}
        self.env = {**kept, "TMPDIR": str(folder), "READY": str(self.ready)}

    @contextlib.contextmanager
    def running(self, *command: str | Path) -> Iterator[subprocess.Popen[bytes]]:
        """Run the program for the block, which begins when all that it starts is running."""
        with subprocess.Popen(command, cwd=ROOT, env=self.env, start_new_session=True) as program:
            try:
                wait_for(lambda: self.ready.exists() or program.poll() is not None, seconds=PATIENCE)
                assert program.poll() is None
                yield program
            finally:
                program.kill()

    def processes(self) -> dict[int, str]:
        """Return the remaining processes and their names."""
        return dict(self._processes())

    def _processes(self) -> Iterator[tuple[int, str]]:
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                told = process.joinpath("environ").read_bytes() + process.joinpath("cmdline").read_bytes()
                if str(self.folder) in f"{os.fsdecode(told)} {process.joinpath('cwd').readlink()}":
                    yield int(process.name), process.joinpath("comm").read_text().strip()

    def folders(self) -> list[str]:
        """Return the names of remaining folders of runs."""
        return [path.name for path in self.folder.glob("calotype-run-*")]

    def mounts(self) -> list[str]:
        """Return the mounts in the folder that this process sees."""
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
        return [line for line in lines if str(self.folder) in line]


@pytest.fixture
def world() -> Iterator[World]:
    """A world outside of pytest's folder, because PostgreSQL's user may not enter that."""
    with tempfile.TemporaryDirectory(dir=os.environ[common.RUN], ignore_cleanup_errors=True) as folder:
        os.chmod(folder, 0o711)
        world = World(Path(folder))
        yield world
        for process in world.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)


def assert_all_ends(world: World, program: subprocess.Popen[bytes], how: signal.Signals) -> None:
    """Send the signal to the program alone, and check that all it has started ends."""
    program.send_signal(how)
    program.wait(PATIENCE)
    with contextlib.suppress(AssertionError):  # the assertions below show more
        wait_for(lambda: not world.processes() and not world.folders(), seconds=PATIENCE)
    assert world.processes() == {}
    assert world.folders() == []


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "terminated"])
def test_servers_end_with_the_tests_that_started_them(world: World, how: signal.Signals) -> None:
    """A worker of pytest-xdist starts them, and its main process gets the signal. (r1-H12)"""
    tests = world.folder / "test_one.py"
    tests.write_text(TESTS)
    options = ["-c", ROOT / "setup.cfg", "--basetemp", world.folder / "pytest", "-p", "no:cacheprovider"]
    plugins = ["-p", "tests.servers.fixtures", "-p", "tests.conftest"]
    with world.running(sys.executable, "-m", "pytest", "-q", "-n", "1", *options, *plugins, tests) as run:
        assert {"postgres", "nginx", "pserve"} <= set(world.processes().values())
        assert_all_ends(world, run, how)


def test_servers_end_with_the_command_that_uses_them(world: World) -> None:
    """`tests/servers/run` is killed, and its command ends too. (r1-H12)"""
    command = ["sh", "-c", f"touch {world.ready}; sleep 600"]
    with world.running(ROOT / "tests" / "servers" / "run", "nginx", "--", *command) as run:
        wait_for(lambda: {"nginx", "sleep"} <= set(world.processes().values()), seconds=PATIENCE)
        assert_all_ends(world, run, signal.SIGKILL)


def test_servers_and_clients_end_with_the_bench(world: World) -> None:
    """The service, a peer with another environment, and a client that is only forked. (r1-H12)"""
    with world.running(sys.executable, "-c", BENCH) as bench:
        assert {"nginx", "pserve"} <= set(world.processes().values())
        assert_all_ends(world, bench, signal.SIGKILL)


def test_a_server_started_by_hand_runs_until_it_is_stopped(world: World) -> None:
    """The script is started without a run. (r1-H12)"""
    nginx, folder = ROOT / "tests" / "servers" / "nginx", world.folder / "nginx"
    shell = subprocess.run(
        ["sh", "-c", '"$0" start "$1"', nginx, folder],
        env=world.env,
        check=True,
        text=True,
        capture_output=True,
    )
    settings = dict(line.split("=", 1) for line in shell.stdout.splitlines())
    time.sleep(1)  # long enough for a watcher to notice the end of the shell
    assert listens(settings["NGINX_URL"])
    subprocess.run([nginx, "stop", folder], env=world.env, check=True)
    assert world.processes() == {}
    assert not folder.exists()


def test_a_killed_test_leaves_no_mount(world: World) -> None:
    """Other processes never see the mount. (r1-H12)"""
    with world.running(sys.executable, "-c", DISK) as program:
        assert world.mounts() == []
        assert_all_ends(world, program, signal.SIGKILL)
    assert world.mounts() == []
    (world.folder / "disk").rmdir()
