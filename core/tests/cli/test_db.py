"""`calotype-manage db` recognizes that processes serve on the database."""

from __future__ import annotations

import datetime
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import text

from calotype.cli.manage import main
from calotype.database import migrate
from calotype.database.database import Database
from calotype.database.processes import ServingProcess
from tests.support.server import INI
from tests.support.workbench import open_database


@pytest.fixture
def database(tmp_path: Path, template: Path) -> Iterator[Database]:
    (tmp_path / "calotype.sqlite").write_bytes(template.read_bytes())
    made = open_database(tmp_path / "calotype.sqlite")
    yield made
    made.close()


Meanwhile = Callable[[Callable[[], None]], None]


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Meanwhile:
    """meanwhile(action): the command does this in place of each pause, and watches for 1 s instead of 20."""
    module = sys.modules["calotype.cli.db"]
    monkeypatch.setattr(module, "_WATCH", 1)

    def replace_pauses(action: Callable[[], None]) -> None:
        clock = SimpleNamespace(monotonic=time.monotonic, sleep=lambda seconds: action())
        monkeypatch.setattr(module, "time", clock)

    return replace_pauses


def process_seen(ago: datetime.timedelta) -> ServingProcess:
    at = datetime.datetime.now(datetime.UTC) - ago
    return ServingProcess("id", "images1", 4711, "0.1.0", at, at)


def keep(database: Database, process: ServingProcess) -> None:
    with database.unit() as unit:
        unit.processes.keep(process)


def new_id(folder: Path) -> Result:
    return CliRunner().invoke(main, ["db", "new-id", str(INI), f"data_dir={folder}", "--yes"])


def test_a_heartbeat_that_is_not_renewed_does_not_prevent_the_command(
    database: Database, meanwhile: Meanwhile, tmp_path: Path
) -> None:
    """A copied database has such a row, and a killed process leaves one."""
    keep(database, process_seen(datetime.timedelta(seconds=1)))
    done = new_id(tmp_path)
    assert done.exit_code == 0, done.output
    assert "waiting for up to 1 s" in done.stderr


@pytest.mark.parametrize("ahead", [datetime.timedelta(hours=hours) for hours in (-2, 0, 2)])
def test_a_renewed_heartbeat_prevents_the_command_whatever_the_clocks_say(
    database: Database, meanwhile: Meanwhile, tmp_path: Path, ahead: datetime.timedelta
) -> None:
    process = process_seen(-ahead)
    keep(database, process)
    renewed = replace(process, seen_at=process.seen_at + datetime.timedelta(seconds=15))
    meanwhile(lambda: keep(database, renewed))
    done = new_id(tmp_path)
    assert done.exit_code == 1
    assert "a process still serves on this database (images1, pid 4711): stop every process" in done.stderr


def test_a_process_that_starts_during_the_wait_prevents_the_command(
    database: Database, meanwhile: Meanwhile, tmp_path: Path
) -> None:
    keep(database, process_seen(datetime.timedelta(seconds=1)))
    started = replace(process_seen(datetime.timedelta()), id="other", pid=4712)
    meanwhile(lambda: keep(database, started))
    assert "images1, pid 4712" in new_id(tmp_path).stderr


def set_revision(database: Database, revision: str) -> None:
    with database.engine.begin() as connection:
        connection.execute(text(f"UPDATE alembic_version SET version_num = '{revision}'"))


def upgrade(folder: Path) -> Result:
    return CliRunner().invoke(main, ["db", "upgrade", str(INI), f"data_dir={folder}"])


def test_an_upgrade_of_tables_is_refused_while_a_process_serves_on_them(
    database: Database, meanwhile: Meanwhile, tmp_path: Path
) -> None:
    """The process's requests failed, and the command said nothing."""
    set_revision(database, "0010")
    process = process_seen(datetime.timedelta())
    keep(database, process)
    renewed = replace(process, seen_at=process.seen_at + datetime.timedelta(seconds=15))
    meanwhile(lambda: keep(database, renewed))
    done = upgrade(tmp_path)
    assert (done.exit_code, done.stdout) == (1, ""), done.output
    assert "a process still serves on this database (images1, pid 4711): stop every process" in done.stderr
    assert migrate.current(database.engine) == "0010"


def test_an_upgrade_that_changes_no_table_runs_beside_a_service_without_waiting(
    database: Database, tmp_path: Path
) -> None:
    keep(database, process_seen(datetime.timedelta()))
    done = upgrade(tmp_path)
    assert done.stdout.startswith("core: at core_5\nmetadefs: empty -> "), done.output
    assert "waiting" not in done.stderr


def test_an_upgrade_names_the_database(database: Database, tmp_path: Path) -> None:
    """With a database_url of its own, `data_dir=/srv/nowhere` had no effect, and nothing said so."""
    url = f"sqlite:///{tmp_path}/calotype.sqlite"
    done = CliRunner().invoke(main, ["db", "upgrade", str(INI), "data_dir=/nowhere", f"database_url={url}"])
    assert (done.exit_code, done.stderr) == (0, f"calotype-manage: the database is {url}\n"), done.output


def test_a_process_that_ends_during_the_wait_does_not_prevent_the_command(
    database: Database, meanwhile: Meanwhile, tmp_path: Path
) -> None:
    def end() -> None:
        with database.unit() as unit:
            unit.processes.forget("id")

    keep(database, process_seen(datetime.timedelta(seconds=1)))
    meanwhile(end)
    assert new_id(tmp_path).exit_code == 0
