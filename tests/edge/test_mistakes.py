"""Mistakes of operators: each ends the start with one sentence and a status other than 0."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from calotype.cli.manage import main
from calotype.cli.pserve import main as pserve
from tests.conftest import StartServer
from tests.edge.mistakes import AT_START, Mistake
from tests.servers.common import free_ports
from tests.support.answers import statuses
from tests.support.forked import run_pserve, start_pserve
from tests.support.server import INI, OCTETS, meta, write_ini
from tests.support.wire import PATIENCE, head, read_to_end


@pytest.fixture
def home(template: Path, tmp_path: Path) -> Path:
    return shutil.copytree(template, tmp_path / "home")


@pytest.fixture(scope="module")
def taken() -> Iterator[int]:
    """A port on which something listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def start(mistake: Mistake, home: Path, taken: int) -> subprocess.CompletedProcess[str]:
    """Run pserve on an ini file with the mistake."""

    def filled(text: str) -> str:
        return text.replace("{home}", str(home)).replace("{taken}", str(taken)).replace("{free}", str(free))

    (free,) = free_ports(1)

    def each(given: Mapping[str, str]) -> dict[str, str]:
        return {key: filled(value) for key, value in given.items()}

    ini = write_ini(home, each(mistake.app), each(mistake.server))
    if mistake.text is not None:
        changed = mistake.text(INI.read_text())
        ini.write_text(changed) if changed else (ini := home / "nosuch.ini")
    if mistake.before is not None:
        mistake.before(home)
    variables = {"data_dir": str(home), "http_port": "0"}
    pairs = [filled(text) for text in mistake.variables]
    given = [
        f"{name}={value}" for name, value in variables.items() if not any(p.startswith(name) for p in pairs)
    ]
    return run_pserve([ini, *given, *pairs])


@pytest.mark.parametrize("name", AT_START)
def test_a_mistake_ends_the_start_with_one_sentence_and_a_status_that_is_not_0(
    name: str, home: Path, taken: int
) -> None:
    """r1-E1, r1-E2, r1-E3, r1-E4, r1-E5, r1-E6, r1-E7"""
    done = start(AT_START[name], home, taken)
    assert done.returncode == AT_START[name].status, done.stdout
    assert "Traceback" not in done.stdout
    assert "hunter2" not in done.stdout
    assert "stevedore" not in done.stdout
    assert not (home / "new").exists(), "the start left a directory"
    said = [line for line in done.stdout.splitlines() if line.startswith("calotype: ")]
    assert len(said) == 1, done.stdout
    for word in AT_START[name].words:
        pattern = re.escape(word.replace("{home}", str(home)).replace("{taken}", str(taken)))
        assert re.search(pattern.replace(r"\{free\}", r"\d+"), said[0]), said[0]


#: The user that owns nothing.
NOBODY = 65534


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("command", [pserve, main], ids=["pserve", "calotype-manage"])
def test_an_ini_file_that_the_user_may_not_read_is_not_called_missing(command: Callable[..., object]) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        ini = Path(folder, "service.ini")
        ini.write_text(INI.read_text())
        argv = ["pserve", str(ini)] if command is pserve else ["stores", str(ini)]
        closed = said_to_nobody(lambda: command(argv))
        os.chmod(folder, 0o755)
        ini.chmod(0o640)
        unreadable = said_to_nobody(lambda: command(argv))
    denied = rf"{ini}: permission denied: .*\(id {NOBODY}\) may not read {ini}, because "
    assert re.search(rf"{denied}{folder} belongs to user 'root' \(id 0\) and has the mode 0700", closed), (
        closed
    )
    assert re.search(rf"{denied}{ini} belongs to user 'root' \(id 0\) and has the mode 0640", unreadable), (
        unreadable
    )


def said_to_nobody(run: Callable[[], object]) -> str:
    """Return what a command prints on standard error when a user who owns nothing runs it."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            os.dup2(writing, 2)
            sys.stderr = os.fdopen(2, "w")
            run()
        finally:
            sys.stderr.flush()
            os._exit(0)
    os.close(writing)
    with open(reading) as said:
        os.waitpid(child, 0)
        return said.read()


#: What the log of a start must have, by what the ini file is like.
WARNINGS = {
    "headers": (
        {},
        {"underscore_headers": ""},
        r"test.ini: \[server:main\] has no underscore_headers = x-image-meta- x-glance-: headers with `_`",
    ),
    "some headers": ({}, {"underscore_headers": "x-image-meta-"}, r"has no underscore_headers = x-glance-: "),
    "keystone without its filter": (
        {"calotype.identity": "keystone"},
        {},
        r"line \d+: calotype.identity: keystone needs the filter of keystonemiddleware in the pipeline",
    ),
    "a staging store that is off": (
        {"calotype.staging_store": "s3"},
        {},
        r"calotype.staging_store names the store 's3', which is off: no key store\.s3\.\* is set",
    ),
}


@pytest.mark.parametrize("name", WARNINGS)
def test_settings_with_surprising_effects_are_logged(name: str, start_server: StartServer) -> None:
    app_keys, server_keys, warned = WARNINGS[name]
    server = start_server(app_keys, server_keys)
    assert re.search(rf"WARNING \S+ .*{warned}", server.log), server.log


def test_the_ini_file_that_ships_starts_without_a_warning(start_server: StartServer) -> None:
    assert "WARNING" not in start_server().log


@pytest.mark.parametrize(
    ("app_keys", "place"),
    [({}, r"test.ini: "), ({"calotype.identity": "none"}, r"test.ini, line \d+: ")],
    ids=["unset", "none"],
)
def test_a_start_without_identity_logs_that_every_caller_is_an_administrator(
    app_keys: dict[str, str], place: str, start_server: StartServer
) -> None:
    server = start_server(app_keys, {"threads": "4"})
    said = rf"INFO calotype.checks \S*{place}calotype.identity is none, so every caller is an administrator"
    assert len(re.findall(said, server.log)) == 1, server.log


def test_an_unreachable_store_is_reported_and_the_other_stores_are_served(start_server: StartServer) -> None:
    """r1-E2: the log and /readyz say so, and images in the other store are served."""
    away = {
        "driver": "swift",
        "auth_url": "http://127.0.0.1:1/auth/v1.0",
        "auth_version": "1",
        "user": "u",
        "key": "k",
        "retries": "0",
    }
    options = {f"store.away.{name}": value for name, value in away.items()}
    server = start_server({"calotype.stores": "file away", **options})
    assert "store 'away': it cannot be reached (options auth_url, endpoint); it is unavailable" in server.log
    ready = server.readyz(lambda answer: answer.json["stores"]["away"] == "unavailable")
    assert (ready.status, ready.json["stores"]["file"]) == (200, "ok")
    assert server.upload(b"bytes")["store"] == "file"


@pytest.mark.campaign
def test_a_reload_lets_running_requests_finish(tmp_path: Path) -> None:
    """r1-H11: `pserve --reload` gives requests as much time as a SIGTERM does."""
    ini = write_ini(tmp_path)
    (port,) = free_ports(1)
    variables = [f"data_dir={tmp_path}/data", f"http_port={port}"]
    process = start_pserve(["--reload", ini, *variables], tmp_path / "log", tmp_path, {})

    def pid() -> int | None:
        """The process that serves; None while none does."""
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz") as answer,
        ):
            processes = json.load(answer)["processes"]
            return processes[-1]["pid"] if processes else None

    def wait_for(other: int | None) -> int:
        end = time.monotonic() + 60
        while (now := pid()) in (None, other):
            assert process.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < end
            time.sleep(0.1)
        return now

    try:
        first = wait_for(None)
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
            fields = {**OCTETS, **meta(name="last"), "Content-Length": "1000000"}
            connection.sendall(head("/images", *(f"{name}: {value}" for name, value in fields.items())))
            connection.sendall(b"x" * 500_000)
            ini.touch()
            while "requests under way: 1" not in (tmp_path / "log").read_text():
                assert process.poll() is None
                time.sleep(0.1)
            time.sleep(2)  # longer than hupper itself would wait
            connection.sendall(b"x" * 500_000)
            assert statuses(read_to_end(connection)) == [200]
        wait_for(first)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
