"""Restarts: stop or crash the database server under eight clients, and start it again.

The server belongs to this phase. From its first restart on, it keeps committed transactions through a
crash, which test servers usually do not.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import NullPool, create_engine, text
from sqlalchemy.exc import DBAPIError

from tests.faults.campaign.clients import Client
from tests.faults.campaign.databases import Databases
from tests.faults.campaign.killing import Tally
from tests.faults.campaign.phases import opened
from tests.faults.campaign.victim import pause
from tests.servers import common
from tests.servers.fixtures import started

_CLIENTS = 8
_LEASE = 2.0
#: The time limits in seconds for any response, and for a start of the server, on a busy machine.
_BOUND, _PATIENCE = 30, 60

#: The file with the server's process id.
_PID = {
    "postgres": "SELECT current_setting('data_directory') || '/postmaster.pid'",
    "mariadb": "SELECT @@pid_file",
}
#: Arguments that make it keep a committed transaction through a crash.
_DURABLE = {
    "postgres": ("-c", "synchronous_commit=on"),
    "mariadb": ("--innodb-flush-log-at-trx-commit=2",),
}
#: An argument that must not be repeated.
_ONLY_ONCE = "--init-file"
#: The signals for an orderly end and for a crash.
_ENDS = {"postgres": (signal.SIGINT, signal.SIGQUIT), "mariadb": (signal.SIGTERM, signal.SIGKILL)}


def restart(name: str, folder: Path, times: int, seed: int = 0) -> Tally:
    """Restart the server `times` times; every other time it crashes."""
    tally = Tally("anything: database restarts", name)
    dice = random.Random(seed)
    with (
        started(name) as settings,
        opened(Databases(name, settings), folder, {"calotype.lease": f"{_LEASE}"}) as scene,
        _Server(name, scene.victim.service.database.engine.url, folder / "server").held() as server,
    ):
        server.end(crash=False)
        server.begin()
        for number in range(times):
            crash = number % 2 == 1
            scene.ledger.slowest = 0
            clients = [Client(scene.victim, scene.ledger, dice.getrandbits(32)) for _ in range(_CLIENTS)]
            for client in clients:
                client.start()
            pause(dice.uniform(0.3, 1.0))
            server.end(crash=crash)
            pause(dice.uniform(0, 1.0))
            server.begin()
            pause(dice.uniform(0.3, 1.0))
            for client in clients:
                client.end.set()
            for client in clients:
                client.join()
            found = scene.judge(lease=_LEASE)
            if scene.ledger.slowest > _BOUND:
                found.append(f"an answer took {scene.ledger.slowest:.1f} s")
            tally.add(found, f"{'crash' if crash else 'restart'} {number}")
    return tally


class _Server:
    """A database server that is stopped and started again with the same arguments."""

    def __init__(self, name: str, url: object, folder: Path):
        self._name = name
        self._files = common.Server(folder)
        self._engine = create_engine(url, poolclass=NullPool)
        with self._engine.connect() as connection:
            self._pid = int(Path(connection.scalar(text(_PID[name]))).read_text().split()[0])
        process = Path(f"/proc/{self._pid}")
        given = process.joinpath("cmdline").read_bytes().decode().split("\0")[:-1]
        self._arguments = [one for one in given if not one.startswith(_ONLY_ONCE)] + list(_DURABLE[name])
        owner = process.stat()
        self._as = (
            {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []} if os.geteuid() == 0 else {}
        )
        self._child: subprocess.Popen[bytes] | None = None

    @contextlib.contextmanager
    def held(self) -> Iterator[_Server]:
        """Yield the server, and stop it at the end of the block if it was started here."""
        try:
            yield self
        finally:
            if self._child is not None:
                self.end(crash=False)
            self._engine.dispose()

    def end(self, *, crash: bool) -> None:
        """Stop the server, and return when it is gone."""
        os.kill(self._pid, _ENDS[self._name][crash])
        if self._child is not None:
            self._child.wait(_PATIENCE)
            self._child = None
        while Path(f"/proc/{self._pid}").exists():
            pause(0.02)

    def begin(self) -> None:
        """Start the server again, and return when it takes connections."""
        end_with, _ = _ENDS[self._name]
        self._child = self._files.spawn(self._name, self._arguments, end_with=end_with, **self._as)
        self._pid = self._child.pid
        end = time.monotonic() + _PATIENCE
        while True:
            try:
                self._engine.connect().close()
            except DBAPIError:
                if self._child.poll() is not None or time.monotonic() > end:
                    raise
                pause(0.05)
            else:
                return
