"""Migrations: kill one at each call to the database; the next one must succeed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path

from click.testing import CliRunner
from sqlalchemy import create_engine, text

from calotype.cli.manage import main as manage
from calotype.database.engine import build_engine
from calotype.database.migrate import upgrade
from tests.faults.campaign.databases import CALLS, Databases
from tests.faults.campaign.killing import Tally, spread
from tests.faults.campaign.strace import KILL, Injection, attached, counting
from tests.support.forked import forks
from tests.support.server import write_ini

#: Back to the last revision before the first release, which the upgrade adopts, without metadefs' tables.
_BACK = text("UPDATE alembic_version SET version_num = '0010'")
_ROWS = 20
_IMAGE = text(
    "INSERT INTO images (id, name, status, visibility, protected, min_disk, min_ram, created_at, updated_at) "
    "VALUES (:id, 'Käse', 'active', 'public', false, 0, 0, '2026-01-01 00:00:00', '2026-01-01 00:00:00')"
)
_SECONDS = 60


def migrate(databases: Databases, folder: Path, most: int) -> Tally:
    """Kill an upgrade before each call: all of them, or `most` at even distances."""
    tally = Tally("migration: killed", databases.name)
    folder.mkdir(parents=True)
    calls = CALLS[databases.name]
    upgrade = _Upgrade(databases, folder / "counted")
    with upgrade.started() as process, counting(process.pid, calls, folder / "calls") as most_made:
        upgrade.go()
        process.join(_SECONDS)
    points = [(call, number) for call in calls for number in range(1, most_made[call] + 1)]
    for call, number in spread(points, most):
        upgrade = _Upgrade(databases, folder / f"{call}{number}")
        with upgrade.started() as process, attached(process.pid, Injection((call,), KILL, str(number))):
            upgrade.go()
            process.join(_SECONDS)
        if process.exitcode:
            tally.add(upgrade.judge(), f"{call} {number}")
    return tally


class _Upgrade:
    """A database with rows at an older revision, and its upgrade to the newest one."""

    def __init__(self, databases: Databases, folder: Path):
        folder.mkdir()
        self._url = databases.make().replace("${data_dir}", str(folder))
        self._ini = write_ini(folder, {"sqlalchemy.url": self._url})
        self._go = forks.Event()
        engine = build_engine(self._url)
        upgrade(engine)
        engine.dispose()
        engine = create_engine(self._url)
        with engine.begin() as connection:
            connection.execute(_BACK)
            connection.execute(_IMAGE, [{"id": f"image {number}"} for number in range(_ROWS)])
        engine.dispose()

    @contextlib.contextmanager
    def started(self) -> Iterator[BaseProcess]:
        """Yield a process that upgrades once `go` is called."""
        process = forks.Process(target=_upgrade, args=(str(self._ini), self._go))
        process.start()
        try:
            yield process
        finally:
            process.kill()
            process.join()

    def go(self) -> None:
        """Let the process upgrade."""
        self._go.set()

    def judge(self) -> list[str]:
        """Return what is wrong after the upgrade was repeated."""
        for command in ("upgrade", "check"):
            done = CliRunner().invoke(manage, ["db", command, str(self._ini)])
            if done.exit_code:
                return [f"db {command}: {done.output}{done.exception or ''}"]
        engine = create_engine(self._url)
        with engine.connect() as connection:
            names = connection.scalars(text("SELECT name FROM images")).all()
        engine.dispose()
        return [] if names == ["Käse"] * _ROWS else [f"the images are {names}"]


def _upgrade(ini: str, go: object) -> None:
    go.wait()
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 1)
    os.dup2(null, 2)
    manage(["db", "upgrade", ini])
