"""The commands for backups in docs/operations.md restore everything that was acknowledged."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

import pytest
from sqlalchemy import make_url

from tests.servers import common
from tests.support.database import MAKERS
from tests.support.pages import DOCS, block_called
from tests.support.server import OCTETS, Server, write_ini
from tests.support.waiting import wait_for

PAGE = DOCS / "operations.md"
SETTINGS = {"calotype.delete_grace": "86400", "calotype.lease": "3", "calotype.sweep_interval": "1"}
#: The commands of other packages that the page needs, and their Debian packages.
PACKAGES = {
    "rsync": "rsync",
    "sqlite3": "sqlite3",
    "pg_dump": "postgresql-client",
    "mariadb-dump": "mariadb-client",
}


class Kind(Protocol):
    """A kind of database: its name on the page, and how to make one."""

    name: str

    def make(self, folder: Path) -> tuple[str, Mapping[str, str]]:
        """Return the URL of an empty database, and the variables that the page's commands need for it."""


@dataclass(frozen=True)
class SQLite:
    name = "SQLite"
    command = "sqlite3"

    def make(self, folder: Path) -> tuple[str, Mapping[str, str]]:
        return f"sqlite:///{folder}/calotype.sqlite", {}


@dataclass(frozen=True)
class PostgreSQL:
    settings: Mapping[str, str]
    name = "PostgreSQL"
    command = "pg_dump"

    def make(self, folder: Path) -> tuple[str, Mapping[str, str]]:
        url = MAKERS["postgres"](self.settings, f"t{uuid.uuid4().hex}")
        return url, {"DATABASE": url.replace("postgresql+psycopg", "postgresql")}


@dataclass(frozen=True)
class MariaDB:
    settings: Mapping[str, str]
    name = "MariaDB"
    command = "mariadb-dump"

    def make(self, folder: Path) -> tuple[str, Mapping[str, str]]:
        given = MAKERS["mariadb"](self.settings, f"t{uuid.uuid4().hex}")
        url, client = make_url(given), folder / "client.cnf"
        client.write_text(
            f"[client]\nhost={url.host}\nport={url.port}\nuser={url.username}\npassword={url.password}\n"
        )
        return given, {"DATABASE": url.database, "CLIENT": str(client)}


@pytest.fixture(
    params=[
        "sqlite",
        pytest.param("postgres", marks=pytest.mark.campaign),
        pytest.param("mariadb", marks=pytest.mark.campaign),
    ]
)
def kind(request: pytest.FixtureRequest) -> Kind:
    if request.param == "sqlite":
        found = SQLite()
    else:
        made = {"postgres": PostgreSQL, "mariadb": MariaDB}[request.param]
        found = made(request.getfixturevalue(request.param))
    need_commands("rsync", found.command)
    return found


def need_commands(*commands: str) -> None:
    """Install the Debian packages of missing commands, or skip the test."""
    for command in commands:
        if shutil.which(command) is None:
            try:
                common.apt(PACKAGES[command])
            except common.Unavailable as error:
                if "CI" in os.environ:
                    raise
                pytest.skip(str(error))


class Place:
    """A machine with the service, or for its restoration: data, database and ini file."""

    def __init__(self, folder: Path, kind: Kind, backup: Path):
        folder.mkdir()
        self.url, names = kind.make(folder)
        self.folder = folder
        self._names = {**names, "DATA": str(folder), "BACKUP": str(backup)}
        self.configure(folder)

    def configure(self, folder: Path, app: Mapping[str, str] = MappingProxyType({})) -> None:
        """Write the ini file into a folder, with these settings added."""
        own = {**SETTINGS, "sqlalchemy.url": self.url, "store.file.path": f"{self.folder}/images"}
        self.ini = write_ini(folder, {**own, **app})
        self._names["INI"] = str(self.ini)

    def start(self) -> Server:
        """Start the service."""
        server = Server(self.folder / "run", self.ini, self.folder)
        server.database_url = self.url
        return server

    def follow(self, caption: str) -> str:
        """Run a block of the page, and return its output."""
        return self.run(block_called(PAGE, caption).text)

    def run(self, script: str) -> str:
        """Run a script with the page's variables, and return its output."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            env={**os.environ, **self._names, "PATH": path},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def findings(printed: str) -> list[tuple[str, str | None]]:
    """Return the problems that fsck printed, with their images."""
    lines = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
    return [(line["fault"], line.get("image_id")) for line in lines if "fault" in line]


def test_images_acknowledged_before_a_backup_of_a_running_service_are_restored(
    kind: Kind, tmp_path: Path
) -> None:
    backup = tmp_path / "backup"
    backup.mkdir()
    here = Place(tmp_path / "here", kind, backup)
    server = here.start()
    kept = server.upload(b"kept" * 1000, name="Käse".encode().decode("latin-1"), property_os="linux")
    deleted = server.upload(b"deleted while the backup runs", is_public="True")
    halfway = server.reserve(name="under way")["id"]

    def body() -> Iterator[bytes]:
        yield bytes(300_000)
        while not server.query("SELECT state FROM image_locations WHERE image_id = ?", halfway):
            time.sleep(0.02)
        here.follow(f"back up {kind.name}")
        yield b"the end"

    assert server.put(f"/images/{halfway}", OCTETS, body()).image["status"] == "active"
    assert server.delete(f"/images/{deleted['id']}").status == 200
    late = server.upload(b"uploaded while the backup runs")
    here.follow("back up the file store")
    server.kill()

    there = Place(tmp_path / "there", kind, backup)
    there.follow("restore the file store")
    there.follow(f"restore {kind.name}")
    found = findings(there.follow("look at what was restored"))

    assert found == [("orphan", None)], "of the upload that came after the database's backup"
    restored = there.start()
    try:
        image = restored.get("/v1/images/detail?name=K%C3%A4se").json["images"][0]
        assert (image["id"], image["properties"]) == (kept["id"], {"os": "linux"})
        assert restored.get(f"/images/{kept['id']}").body == b"kept" * 1000
        assert restored.get(f"/images/{deleted['id']}").body == b"deleted while the backup runs"
        assert restored.get(f"/images/{late['id']}").status == 404
        assert restored.upload(b"it goes on")["status"] == "active"
        # The upload was running when the database was backed up, so a sweep ends it.
        half = wait_for(
            lambda: restored.head(f"/images/{halfway}").meta, lambda seen: seen["status"] != "saving"
        )
        assert (half["status"], restored.blobs(halfway)) == ("killed", [])
        # The restored database has the database id that the store's marker names, so it may repair.
        there.run('calotype-manage fsck "$INI" --window=0 --repair')
        assert (len(restored.blobs(kept["id"])), restored.blobs(late["id"])) == (1, [])
    finally:
        restored.stop()


def test_the_backup_restores_tokens_and_configuration(tmp_path: Path) -> None:
    """r1-E21"""
    need_commands("rsync", "sqlite3")
    backup, etc = tmp_path / "backup", tmp_path / "etc"
    backup.mkdir()
    etc.mkdir()
    here = Place(tmp_path / "here", SQLite(), backup)
    here.configure(etc, {"calotype.identity": "tokens", "calotype.tokens_file": f"{here.folder}/tokens.json"})
    here.run('calotype-manage db upgrade "$INI" && mkdir "$DATA/images"')
    made = here.run('calotype-manage token add "$INI" --user alice --project demo --role admin')
    for part in ("SQLite", "the file store", "the configuration and the tokens"):
        here.follow(f"back up {part}")
    here.run('rm -r "$DATA"/* "$(dirname "$INI")"/*')
    for part in ("the file store", "the configuration and the tokens", "SQLite"):
        here.follow(f"restore {part}")

    server = here.start()
    try:
        assert server.get("/images", {"X-Auth-Token": made.split()[-1]}).status == 200
        assert server.get("/images").status == 401
    finally:
        server.stop()


def test_fsck_reports_missing_bytes_if_the_store_is_older_than_the_database(
    kind: Kind, tmp_path: Path
) -> None:
    backup = tmp_path / "backup"
    backup.mkdir()
    here = Place(tmp_path / "here", kind, backup)
    server = here.start()
    kept = server.upload(b"kept", is_public="True")
    here.follow("back up the file store")
    late = server.upload(b"not in the copy of the store", is_public="True")
    server.stop()
    here.run('mv "$DATA/images" "$DATA/newer"')
    here.follow("restore the file store")

    looked = here.run('calotype-manage fsck "$INI" --window=0 --repair || test $? = 1')
    assert findings(looked) == [("missing", late["id"])]
    restored = here.start()
    try:
        assert restored.get(f"/images/{kept['id']}").body == b"kept"
        assert restored.get(f"/images/{late['id']}").status >= 400
        here.run('rsync -a "$DATA/newer/" "$DATA/images/"')
        assert restored.get(f"/images/{late['id']}").body == b"not in the copy of the store"
    finally:
        restored.stop()


def test_a_copied_database_gets_a_new_id_and_works_beside_its_original(kind: Kind, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    backup.mkdir()
    here = Place(tmp_path / "here", kind, backup)
    server = here.start()
    image = server.upload(b"the bytes of both", is_public="True")
    here.follow(f"back up {kind.name}")
    here.follow("back up the file store")
    there = Place(tmp_path / "there", kind, backup)
    there.follow("restore the file store")
    there.follow(f"restore {kind.name}")
    there.follow("give the copy an id of its own")
    copy = there.start()
    try:
        assert copy.get(f"/images/{image['id']}").body == b"the bytes of both"
        assert copy.delete(f"/images/{image['id']}").status == 200
        assert server.get(f"/images/{image['id']}").body == b"the bytes of both"
    finally:
        copy.stop()
        server.stop()
    meant_wrongly = there.ini.read_text().replace(f"{there.folder}/images", f"{here.folder}/images")
    there.ini.write_text(meant_wrongly)

    refused = there.run('calotype-manage fsck "$INI" --window=0 --repair 2>&1 || test $? = 2')
    assert "store 'file': its place belongs to store 'file' of database" in refused


@pytest.mark.parametrize("content", [None, b""])
def test_a_folder_without_a_database_gets_no_backup(content: bytes | None, tmp_path: Path) -> None:
    """The command used to make a backup of 0 bytes, and ended with status 0."""
    need_commands("sqlite3")
    backup = tmp_path / "backup"
    backup.mkdir()
    here = Place(tmp_path / "here", SQLite(), backup)
    database = here.folder / "calotype.sqlite"
    if content is not None:
        database.write_bytes(content)

    here.run(f"if {{ {block_called(PAGE, 'back up SQLite').text} }}; then exit 1; fi")

    assert list(backup.iterdir()) == []
    assert database.exists() is (content is not None)


@pytest.mark.parametrize("part", ["SQLite", "the file store", "the configuration and the tokens"])
def test_restoring_from_an_empty_folder_changes_nothing(part: str, tmp_path: Path) -> None:
    """On another day than that of the backup, the folder of the day is empty."""
    need_commands("rsync")
    backup, etc = tmp_path / "backup", tmp_path / "etc"
    backup.mkdir()
    etc.mkdir()
    here = Place(tmp_path / "here", SQLite(), backup)
    here.configure(etc)
    (here.folder / "images").mkdir()
    for name in ("calotype.sqlite", "calotype.sqlite-wal", "calotype.sqlite-shm", "images/1", "tokens.json"):
        (here.folder / name).write_text(name)
    before = contents(tmp_path)

    # Typed at a prompt, a command that fails does not end the shell.
    here.run(f"set +e; {block_called(PAGE, f'restore {part}').text}\ntest $? != 0")

    assert contents(tmp_path) == before


def contents(folder: Path) -> dict[Path, tuple[int, str]]:
    """Return the mode and the text of each file below a folder."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path: (path.stat().st_mode, path.read_text()) for path in files}


def test_a_restored_sqlite_database_has_the_mode_of_a_new_one_and_no_old_log(tmp_path: Path) -> None:
    need_commands("sqlite3")
    backup = tmp_path / "backup"
    backup.mkdir()
    here = Place(tmp_path / "here", SQLite(), backup)
    here.run('calotype-manage db upgrade "$INI"')
    database = here.folder / "calotype.sqlite"
    made = database.stat().st_mode
    here.follow("back up SQLite")
    database.unlink()
    log = here.folder / "calotype.sqlite-wal"
    log.write_text("of the lost database")

    here.run("umask 022; " + block_called(PAGE, "restore SQLite").text)

    assert (oct(database.stat().st_mode), log.exists()) == (oct(made), False)


@pytest.mark.parametrize("caption", ["where things are", "where the backup is"])
def test_the_page_sets_the_variables_that_these_tests_set(caption: str) -> None:
    text = block_called(PAGE, caption).text

    assert [line.partition("=")[0] for line in text.splitlines()[:3]] == ["INI", "DATA", "BACKUP"]
