"""Upgrades of the schema take turns on any database, for any number of processes (r1-H2)."""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from calotype.database import migrate, turns
from calotype.database.engine import build_engine
from calotype.database.errors import SchemaMismatch
from calotype_metadefs import MIGRATIONS
from tests.support.database import make_database, only_sqlite
from tests.support.forked import run_manage
from tests.support.server import INI, Server, StartFailed, write_ini

AT_ONCE = 3


@pytest.fixture
def database(tmp_path: Path) -> str:
    """Return the URL of an empty database."""
    return make_database(tmp_path)


def upgrade_at_once(database: str) -> list[str]:
    """Run several `db upgrade` at once, and return their outputs."""

    def upgrade(_: int) -> subprocess.CompletedProcess[str]:
        return run_manage(["db", "upgrade", INI, f"database_url={database}"])

    with ThreadPoolExecutor(AT_ONCE) as threads:
        done = list(threads.map(upgrade, range(AT_ONCE)))
    assert [one.returncode for one in done] == [0] * AT_ONCE, [one.stderr for one in done]
    return sorted(one.stdout for one in done)


def test_concurrent_upgrades_take_turns(database: str) -> None:
    """r1-H2: the test uses an empty database, and one from before the first release."""
    engine = build_engine(database)
    upgrade_at_once(database)
    assert migrate.differences(engine) == []

    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0010'"))
    said = "".join(upgrade_at_once(database))
    assert f"core: 0010 -> {migrate.CORE.newest}\n" in said
    assert migrate.differences(engine) == []
    engine.dispose()


@pytest.fixture
def engines(database: str) -> tuple[Engine, Engine]:
    """Return two engines on one database, like those of two processes."""
    made = build_engine(database), build_engine(database)
    yield made
    for engine in made:
        engine.dispose()


def test_waiting_for_a_turn_is_reported_and_limited(
    engines: tuple[Engine, Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """r1-H2: a process does not wait if no migration is due."""
    one, other = engines
    migrate.upgrade(one)
    migrate.upgrade(other)  # opens a connection
    told: list[str] = []
    with turns.turn(one, told.append):
        migrate.upgrade(other, tell=told.append)
        assert told == []
        monkeypatch.setattr(turns, "PATIENCE", 0.2)
        with pytest.raises(SchemaMismatch, match="another process has been changing the database's schema"):
            migrate.downgrade(other, "base", tell=told.append)
    assert len(told) == 1
    assert "is changing the database's schema; waiting up to" in told[0]
    migrate.upgrade(other, [migrate.CORE, MIGRATIONS], tell=told.append)
    assert len(told) == 1


@only_sqlite
@pytest.mark.parametrize("count", [4, pytest.param(20, marks=pytest.mark.campaign)])
def test_servers_that_start_and_migrate_concurrently_all_start(count: int, tmp_path: Path) -> None:
    """r1-H2: the test uses an empty database of SQLite."""
    ini = write_ini(tmp_path, {"calotype.migrate": "true"})
    with ThreadPoolExecutor(count) as threads:
        starting = [
            threads.submit(Server, tmp_path / f"{number}", ini, tmp_path / "data") for number in range(count)
        ]
    servers, failed = [], []
    for one in starting:
        try:
            servers.append(one.result())
        except StartFailed as error:
            failed.append(str(error))
    for server in servers:
        server.stop()
    assert failed == []


def test_the_error_for_a_lock_that_cannot_be_opened_names_its_path(tmp_path: Path) -> None:
    engine = build_engine(f"sqlite:///{tmp_path}/database.sqlite")
    (tmp_path / "database.sqlite-upgrade.lock").mkdir()
    with pytest.raises(
        SchemaMismatch, match=r"database\.sqlite-upgrade\.lock, cannot be opened: Is a directory"
    ):
        migrate.upgrade(engine)
    engine.dispose()
