"""`calotype-manage doctor`: each test makes one thing wrong, and the command names it and its cure."""

from __future__ import annotations

import contextlib
import datetime
import json
import platform
import resource
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from calotype.operations.machine import check_disk
from tests.servers import common
from tests.support.distributions import on_path, write_distribution
from tests.support.forked import run_manage
from tests.support.server import Server, write_ini
from tests.support.web import Web, reply

SLOW = {
    "slow_driver.py": """
import time
from pathlib import Path

from calotype_store_file import FileStore


class Options(FileStore.Options):
    gate: Path


class Slow(FileStore):
    Options = Options

    def check(self):
        while self.options.gate.exists():
            time.sleep(0.05)
        super().check()
"""
}
MOUNTS = "disk / ext4 rw 0 0\nfiler:/x /srv\\040x nfs4 rw 0 0\nfiler:/y {} nfs4 rw 0 0\n"


@dataclass(frozen=True)
class Found:
    """The exit status of the command, its problems by check, and the checks without a problem."""

    status: int
    problems: dict[str, str]
    healthy: set[str]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with the stores `file` and `slow`, which hangs while the file `hang` exists."""
    folder = tmp_path_factory.mktemp("doctor")
    plugin = write_distribution(folder / "plugin", "test-slow", {"slow": "slow_driver:Slow"}, SLOW)
    ini = write_ini(
        folder,
        {
            "calotype.stores": "file slow",
            "calotype.public_endpoint": "${endpoint}",
            "store.slow.driver": "slow",
            "store.slow.path": str(folder / "slow"),
            "store.slow.create": "true",
            "store.slow.gate": str(folder / "hang"),
        },
    )
    ini.write_text(ini.read_text().replace("[DEFAULT]\n", "[DEFAULT]\nendpoint = http://localhost\n"))
    running = Server(folder, ini, env=on_path(plugin))
    yield running
    running.stop()


def ask(server: Server, *words: str, env: dict[str, str] | None = None, ini: Path | None = None) -> Found:
    given = [ini or server.ini, *server.variables, *words]
    done = run_manage(["doctor", *given], {**server._env, **(env or {})})
    assert done.stderr == ""
    found = [json.loads(line) for line in done.stdout.splitlines()]
    problems = {one["check"]: one["diagnosis"] for one in found if not one["ok"]}
    return Found(done.returncode, problems, {one["check"] for one in found if one["ok"]} - set(problems))


@contextlib.contextmanager
def changed(server: Server, do: str, undo: str) -> Iterator[None]:
    """Change the database for the block."""
    server.execute(do)
    try:
        yield
    finally:
        server.execute(undo)


def moment(**ago: float) -> str:
    return f"{datetime.datetime.now(datetime.UTC) - datetime.timedelta(**ago):%F %T.%f}"


def test_a_healthy_node_has_no_problem(server: Server) -> None:
    found = ask(server)
    assert (found.status, found.problems) == (0, {})
    parts = {"database", "clock", "processes", "leftovers", "permissions", "TLS", "limits", "versions"}
    assert found.healthy == {*parts, "store 'file'", "store 'slow'"}


@pytest.mark.parametrize(
    ("check", "do", "undo", "says", "cure"),
    [
        (
            "database",
            "UPDATE alembic_version SET version_num = 'core_4'",
            "UPDATE alembic_version SET version_num = 'core_5'",
            "the database is at revision core_4",
            "calotype-manage db upgrade ",
        ),
        (
            "store 'file'",
            "UPDATE registry_identity SET id = 'another'",
            "UPDATE registry_identity SET id = '{id}'",
            "its place belongs to store 'file' of database ",
            "--claim file",
        ),
        (
            "leftovers",
            "INSERT INTO webhooks (name, failed_at, last_error) VALUES ('hook', '{now}', 'refused')",
            "DELETE FROM webhooks",
            "webhook 'hook' fails (refused)",
            "calotype-manage webhooks ",
        ),
        (
            "leftovers",
            "INSERT INTO findings (id, kind, store, subject, detail, state, found_at, seen_at) "
            "VALUES ('f', 'missing', 'file', 'k', 'd', 'open', '{now}', '{now}')",
            "DELETE FROM findings",
            "there are open findings",
            "calotype-manage findings ",
        ),
        (
            "clock",
            "INSERT INTO processes VALUES ('p', 'other', 1, '{version}', '{now}', '{later}')",
            "DELETE FROM processes WHERE id = 'p'",
            "the clock of other is 30 s ahead",
            "run chrony",
        ),
        (
            "versions",
            "INSERT INTO processes VALUES ('p', 'other', 1, '0.0.9', '{now}', '{now}')",
            "DELETE FROM processes WHERE id = 'p'",
            "process 1 on other runs 0.0.9",
            "install the same version everywhere",
        ),
        (
            "processes",
            "INSERT INTO processes VALUES ('p', '{host}', 1, '0.0.9', '{ago}', '{ago}')",
            "DELETE FROM processes WHERE id = 'p'",
            "process 1 is silent since ",
            "read the logs",
        ),
    ],
)
def test_what_the_database_shows_is_named_with_its_cure(
    server: Server, check: str, do: str, undo: str, says: str, cure: str
) -> None:
    ((identity,),) = server.query("SELECT id FROM registry_identity")
    ((version,),) = server.query("SELECT max(version) FROM processes WHERE id <> 'p'")
    values = {"now": moment(), "later": moment(seconds=-32), "ago": moment(hours=2), "host": platform.node()}
    with changed(server, do.format(version=version, **values), undo.format(id=identity)):
        found = ask(server)
    others = {"store 'slow'"} if check == "store 'file'" else set()
    assert (found.status, set(found.problems)) == (1, {check, *others})
    assert says in found.problems[check].replace("31 s", "30 s").replace("32 s", "30 s")
    assert cure in found.problems[check]


def test_bytes_that_no_sweep_removes_are_named(server: Server) -> None:
    image_id = server.upload(b"bytes")["id"]
    row = f"FROM image_locations WHERE image_id = '{image_id}'"
    with changed(
        server,
        f"UPDATE image_locations SET state = 'doomed', lease_owner = 'x', lease_until = '{moment(hours=2)}', "
        f"store = 'gone' WHERE image_id = '{image_id}'",
        f"DELETE {row}",
    ):
        found = ask(server)
    assert set(found.problems) == {"leftovers"}
    assert "run `calotype-manage sweep " in found.problems["leftovers"]


def test_a_store_that_hangs_does_not_delay_the_other_checks(server: Server) -> None:
    begun = time.monotonic()
    gate = Path(server.ini).parent / "hang"
    gate.touch()
    found = ask(server, "--timeout", "2")
    gate.unlink()
    assert time.monotonic() - begun < 15
    assert (found.status, set(found.problems)) == (1, {"store 'slow'"})
    assert found.problems["store 'slow'"].startswith("it has not answered within 2 s: ")


def test_a_missing_database_leaves_the_checks_that_need_none(server: Server, tmp_path: Path) -> None:
    found = ask(server, f"data_dir={tmp_path}/none", f"database_url=sqlite:///{tmp_path}/none/db.sqlite")
    assert found.status == 1
    assert f"there is no database at {tmp_path}/none/db.sqlite" in found.problems["database"]
    assert {"TLS", "versions", "permissions"} <= found.healthy
    assert "clock" not in found.healthy


def test_open_permissions_are_named(server: Server, tmp_path: Path) -> None:
    ini = tmp_path / "open.ini"
    ini.write_text(server.ini.read_text())
    ini.chmod(0o646)
    assert f"chmod o-w {ini}" in ask(server, ini=ini).problems["permissions"]


def test_a_store_that_is_off_is_named(server: Server, tmp_path: Path) -> None:
    ini = write_ini(tmp_path, {"store.s3.endpoint_url": "http://127.0.0.1:1"})
    found = ask(server, ini=ini)
    assert found.status == 1
    assert "store 's3' is off" in found.problems["stores"]


def test_the_certificate_of_the_public_endpoint_is_checked(server: Server, tmp_path: Path) -> None:
    cert, key = common.Server(tmp_path).certificate()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    with Web(tls=context) as web:
        web.page = reply(200, b"")
        endpoint = f"endpoint=https://localhost:{web.port}"
        assert "is refused (self-signed certificate): renew it" in ask(server, endpoint).problems["TLS"]
        assert "TLS" in ask(server, endpoint, env={"SSL_CERT_FILE": str(cert)}).healthy
        closed = ask(server, f"endpoint=https://localhost:{web.closed}").problems["TLS"]
        assert "does not answer (Connection refused): start the proxy" in closed


def test_a_low_limit_of_descriptors_is_named(tmp_path: Path) -> None:
    ini = write_ini(tmp_path)
    run_manage(["db", "upgrade", ini, f"data_dir={tmp_path}"]).check_returncode()
    done = subprocess.run(
        [Path(sys.executable).with_name("calotype-manage"), "doctor", ini, f"data_dir={tmp_path}"],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (512, 512)),
        capture_output=True,
        text=True,
    )
    assert "of 512 open files: raise the limit (ulimit -n)" in done.stdout


def test_a_database_on_a_network_file_system_is_named(tmp_path: Path) -> None:
    there = [one.sentence for one in check_disk(tmp_path / "db", MOUNTS.format(tmp_path))]
    assert "is on a network file system (nfs4)" in there[0]
    assert [*check_disk(tmp_path / "db", MOUNTS.format("/elsewhere"))] == []
