"""Debian's PostgreSQL with its default settings on a free port, for peers that need one."""

from __future__ import annotations

import shutil
import signal
import time
from pathlib import Path

from testservers import common

USER = "bench"


class Postgres:
    """A server that runs for the block, with its data below a folder that all users can reach."""

    def __init__(self, folder: Path):
        self._folder = folder
        (self._port,) = common.free_ports(1)

    def __enter__(self) -> Postgres:
        if not _programs():
            common.apt("postgresql")
        programs, user = _programs()[-1], common.as_user("postgres")
        self._folder.mkdir()
        if user:
            shutil.chown(self._folder, "postgres")
        data = self._folder / "data"
        common.call(
            [programs / "initdb", "--encoding=UTF8", "--auth=trust", f"--username={USER}", "-D", data], **user
        )
        command = [programs / "postgres", "-D", data, "-h", common.HOST, "-p", str(self._port), "-k", ""]
        server = common.Server(self._folder)
        self._process = server.spawn("postgres", command, end_with=signal.SIGINT, **user)
        state = data / "postmaster.pid"
        while not (state.exists() and "ready" in state.read_text()):
            if self._process.poll() is not None:
                raise SystemExit(server.path("log", "postgres").read_text())
            time.sleep(0.05)
        return self

    def create(self, name: str) -> str:
        """Make a database, and return its URL."""
        where = ["-h", common.HOST, "-p", str(self._port), "-U", USER]
        common.call([_programs()[-1] / "createdb", *where, name])
        return f"postgresql://{USER}@{common.HOST}:{self._port}/{name}"

    def __exit__(self, *error: object) -> None:
        self._process.send_signal(signal.SIGINT)
        self._process.wait(timeout=60)


def _programs() -> list[Path]:
    """Return the folders of the installed versions, the newest last."""
    found = Path("/usr/lib/postgresql").glob("*/bin/postgres")
    return sorted((path.parent for path in found), key=lambda folder: int(folder.parent.name))
