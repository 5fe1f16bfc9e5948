"""Secret files and databases: the modes of new ones, and what existing ones keep."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from calotype.database import migrate
from calotype.database.disk_reserve import make_reserve
from calotype.database.engine import build_engine
from calotype.identity.token_file import TokenFile, TokensNotWritten

#: Users that need no name.
SERVICE, GROUP, OTHER = 61_001, 61_002, 61_003
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files to others")


@pytest.fixture(params=[0o000, 0o022, 0o077], ids=["umask 000", "umask 022", "umask 077"])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


@pytest.fixture
def shared() -> Iterator[Path]:
    """A directory that another user can reach, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def owner(path: Path) -> tuple[int, int]:
    return path.stat().st_uid, path.stat().st_gid


def add_as(user: int, group: int, path: Path) -> subprocess.CompletedProcess[str]:
    """Add a token as another user, after importing all modules, which that user may not read."""
    code = (
        "import os, sys; from pathlib import Path; from calotype.identity.token_file import TokenFile\n"
        f"os.setgroups([]); os.setgid({group}); os.setuid({user})\n"
        f"TokenFile(Path({str(path)!r})).add('u', 'P', ('member',))"
    )
    # That user could not write down what it covered.
    env = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)


# ---------------------------------------------------------------- tokens.json


@pytest.mark.usefixtures("umask")
def test_only_the_owner_can_access_a_new_file_of_tokens_and_its_lock(tmp_path: Path) -> None:
    """r1-C8: everybody used to be able to read the lock."""
    TokenFile(tmp_path / "tokens.json").add("u", "P", ())
    assert {path.name: mode(path) for path in tmp_path.iterdir()} == {
        "tokens.json": 0o600,
        ".tokens.json.lock": 0o600,
    }


@pytest.mark.usefixtures("umask")
@pytest.mark.parametrize("chosen", [0o640, 0o660, 0o400, 0o666])
def test_a_file_of_tokens_that_exists_keeps_its_mode(tmp_path: Path, chosen: int) -> None:
    """r1-C8: the mode used to become 0600, which locked out a service that reads the file by its group."""
    tokens = TokenFile(tmp_path / "tokens.json")
    text = tokens.add("u", "P", ())
    tokens.path.chmod(chosen)

    tokens.add("v", "P", ())
    assert mode(tokens.path) == chosen
    assert tokens.revoke(text.partition(".")[0])
    assert mode(tokens.path) == chosen


@as_root
def test_a_file_of_tokens_that_exists_keeps_its_owner_and_group(tmp_path: Path) -> None:
    """r1-C8: after a rewrite by root, the file used to belong to root."""
    tokens = TokenFile(tmp_path / "tokens.json")
    tokens.add("u", "P", ())
    os.chown(tokens.path, SERVICE, GROUP)
    tokens.path.chmod(0o640)

    tokens.add("v", "P", ())
    assert (owner(tokens.path), mode(tokens.path)) == ((SERVICE, GROUP), 0o640)


@as_root
def test_a_file_that_root_creates_belongs_to_the_owner_of_its_directory(tmp_path: Path) -> None:
    """r1-C8: `token add` as root made a file that the service could not read."""
    os.chown(tmp_path, SERVICE, GROUP)
    TokenFile(tmp_path / "tokens.json").add("u", "P", ())
    assert {path.name: (owner(path), mode(path)) for path in tmp_path.iterdir()} == {
        "tokens.json": ((SERVICE, GROUP), 0o600),
        ".tokens.json.lock": ((SERVICE, GROUP), 0o600),
    }


@as_root
def test_root_and_the_service_can_add_tokens_in_turn(shared: Path) -> None:
    """r1-C8: after root's `token add` the service's user can add one, and both can read the file."""
    os.chown(shared, SERVICE, GROUP)
    tokens = TokenFile(shared / "tokens.json")
    tokens.add("u", "P", ())
    added = add_as(SERVICE, GROUP, tokens.path)
    assert (added.returncode, added.stderr) == (0, "")
    tokens.add("w", "P", ())
    assert len(tokens.entries()) == 3
    assert owner(tokens.path) == (SERVICE, GROUP)


@as_root
def test_an_owner_that_cannot_be_kept_is_an_error_and_nothing_changes(shared: Path) -> None:
    """r1-C8: a user who may write to the directory would make the file its own, and lock the service out."""
    shared.chmod(0o777)
    tokens = TokenFile(shared / "tokens.json")
    tokens.add("u", "P", ())
    for path in (tokens.path, shared / ".tokens.json.lock"):
        os.chown(path, SERVICE, GROUP)
        path.chmod(0o666)
    before = tokens.path.read_bytes()

    refused = add_as(OTHER, OTHER, tokens.path)
    assert f"belongs to user {SERVICE} and group {GROUP}, which a new file would not keep" in refused.stderr
    assert tokens.path.read_bytes() == before
    assert (owner(tokens.path), mode(tokens.path)) == ((SERVICE, GROUP), 0o666)
    assert sorted(path.name for path in shared.iterdir()) == [".tokens.json.lock", "tokens.json"]


@as_root
def test_in_a_setgid_directory_a_new_file_has_the_directorys_group(tmp_path: Path) -> None:
    os.chown(tmp_path, 0, GROUP)
    tmp_path.chmod(0o2770)
    TokenFile(tmp_path / "tokens.json").add("u", "P", ())
    assert owner(tmp_path / "tokens.json") == (0, GROUP)
    assert mode(tmp_path / "tokens.json") == 0o600


@pytest.mark.parametrize("dangling", [False, True])
def test_a_link_to_the_file_stays_a_link(tmp_path: Path, dangling: bool) -> None:
    """r1-C8: the target is rewritten; the link used to be replaced by a file."""
    real, link = tmp_path / "real.json", tmp_path / "tokens.json"
    if not dangling:
        TokenFile(real).add("u", "P", ())
    link.symlink_to("real.json")

    text = TokenFile(link).add("v", "P", ())
    assert link.is_symlink()
    assert TokenFile(real).caller(text) is not None
    assert mode(real) == 0o600
    assert (tmp_path / ".real.json.lock").exists()


def test_a_lock_file_that_is_a_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    """r1-C8: in the service's directory, such a link could make root truncate any file."""
    victim, lock = tmp_path / "victim", tmp_path / ".tokens.json.lock"
    victim.write_text("precious")
    lock.symlink_to(victim)
    with pytest.raises(TokensNotWritten, match="cannot be locked"):
        TokenFile(tmp_path / "tokens.json").add("u", "P", ())
    assert victim.read_text() == "precious"


def test_an_unwritable_directory_is_reported_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(
        TokensNotWritten, match=r"^the file of tokens \S+/file/tokens\.json cannot be locked: "
    ):
        TokenFile(tmp_path / "file" / "tokens.json").add("u", "P", ())


def access_list(*entries: tuple[int, int, int]) -> bytes:
    """An access control list as Linux keeps it: its version, then tag, permissions and id of each entry."""
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def test_an_access_control_list_is_kept(tmp_path: Path) -> None:
    """r1-C8: without the list, the mode would let the group read the file."""
    nobody = 0xFFFFFFFF
    given = access_list(
        (0x01, 6, nobody), (0x02, 4, OTHER), (0x04, 0, nobody), (0x10, 4, nobody), (0x20, 0, nobody)
    )
    tokens = TokenFile(tmp_path / "tokens.json")
    tokens.add("u", "P", ())
    try:
        os.setxattr(tokens.path, "system.posix_acl_access", given)
    except OSError as error:
        pytest.skip(f"this file system has no access control lists: {error}")

    tokens.add("v", "P", ())
    assert os.getxattr(tokens.path, "system.posix_acl_access") == given
    assert mode(tokens.path) == 0o640  # its group bits are the list's mask, not what the group may do


# ---------------------------------------------------------------- SQLite


def sqlite_files(folder: Path) -> dict[str, int]:
    """Return the modes of a new database and of the files that SQLite and the service create beside it."""
    engine = build_engine(f"sqlite:///{folder}/registry.sqlite")
    migrate.upgrade(engine)
    make_reserve(engine.url, 4096).keep()
    with contextlib.closing(engine.raw_connection()) as connection:
        connection.execute("CREATE TABLE probe (x)")  # so that -wal and -shm are there
        found = {path.name.removeprefix("registry.sqlite"): mode(path) for path in folder.iterdir()}
    engine.dispose()
    return found


def test_other_users_cannot_access_a_new_database_or_its_journals(tmp_path: Path, umask: int) -> None:
    """r1-C8: everybody used to be able to read it with the usual umask, and to write it without one."""
    found = sqlite_files(tmp_path)
    assert found.keys() == {"", "-wal", "-shm", "-reserve", "-upgrade.lock"}
    assert {found[suffix] for suffix in ("", "-wal", "-shm")} == {0o640 & ~umask}
    assert found["-reserve"] == found["-upgrade.lock"] == 0o600


def test_a_rollback_journal_has_no_more_permissions_than_its_database(tmp_path: Path) -> None:
    engine = build_engine(f"sqlite:///{tmp_path}/registry.sqlite")
    with contextlib.closing(engine.raw_connection()) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("CREATE TABLE probe (x)")
        assert mode(tmp_path / "registry.sqlite-journal") == 0o640
    engine.dispose()


def test_a_database_that_exists_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "registry.sqlite"
    path.touch()
    path.chmod(0o664)
    found = sqlite_files(tmp_path)
    assert {found[suffix] for suffix in ("", "-wal", "-shm")} == {0o664}


@as_root
def test_a_database_that_root_makes_belongs_to_the_owner_of_its_directory(tmp_path: Path) -> None:
    """r1-C8: `db upgrade` as root is the first step of the documentation."""
    os.chown(tmp_path, SERVICE, GROUP)
    sqlite_files(tmp_path)
    assert {owner(path) for path in tmp_path.iterdir()} == {(SERVICE, GROUP)}


def test_creating_the_database_releases_no_lock_of_sqlite(tmp_path: Path) -> None:
    """Closing a file ends the process's locks on it, so an existing one must not even be opened.

    Another process that finds no lock considers itself the last one, and removes the -wal that is in use.
    """
    path = tmp_path / "registry.sqlite"
    engine = build_engine(f"sqlite:///{path}")
    migrate.upgrade(engine)
    read = f"import sqlite3; c = sqlite3.connect({str(path)!r}); c.execute('SELECT * FROM images'); c.close()"
    with engine.connect() as first, contextlib.closing(engine.raw_connection()):  # the second one comes later
        first.exec_driver_sql("SELECT 1")
        subprocess.run([sys.executable, "-c", read], check=True)
        assert (tmp_path / "registry.sqlite-wal").exists()
    engine.dispose()


def test_a_rewritten_file_has_the_new_content(tmp_path: Path) -> None:
    tokens = TokenFile(tmp_path / "tokens.json")
    tokens.add("u", "P", ())
    assert [entry["user"] for entry in json.loads(tokens.path.read_text())] == ["u"]
