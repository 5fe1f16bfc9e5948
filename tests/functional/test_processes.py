"""The service with several processes (`processes` of the server)."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import socket
import urllib.request
from collections import Counter
from pathlib import Path

import pytest

from tests.conftest import StartServer
from tests.edge.processes import Load, runs
from tests.edge.test_ending import start_hanging
from tests.servers.common import free_ports
from tests.support.forked import run_manage, run_pserve, start_pserve
from tests.support.server import OCTETS, Server, write_ini
from tests.support.waiting import wait_for
from tests.support.wire import read_to_end

TWO = {"processes": "2"}
#: With such a variable, a test starts the command itself, which a reload can run again.
COMMAND = {"PYTHONUNBUFFERED": "1"}


def pids(server: Server, count: int = 2) -> set[int]:
    """Return the ids of the serving processes when so many have a heartbeat."""
    listed = server.readyz(lambda ready: len(ready.json.get("processes", ())) == count)
    return {process["pid"] for process in listed.json["processes"]}


@pytest.fixture
def server(start_server: StartServer) -> Server:
    """A server of two processes."""
    return start_server(server=TWO)


def test_each_process_has_a_heartbeat_and_removes_it_at_its_end(server: Server) -> None:
    found = pids(server)
    assert server.process.pid not in found
    assert server.stop() == 0
    assert server.query("SELECT pid FROM processes") == []
    assert not any(map(runs, found))
    assert "Traceback" not in server.log


def test_the_processes_share_images(server: Server) -> None:
    """On SQLite too: every process reads what another one has just written."""
    pids(server)
    for number in range(20):
        content = bytes([number]) * 1000
        image = server.upload(content, is_public="True")
        assert server.get(f"/images/{image['id']}").body == content
    assert len(server.query("SELECT id FROM images WHERE status = 'active'")) == 20


@pytest.mark.parametrize(
    ("app", "variables", "said"),
    [
        ({"calotype.migrate": "false"}, [], "there is no database at"),
        (
            {"calotype.stores": "file", "store.file.create": "false"},
            [],
            "store 'file': its directory does not",
        ),
        ({"calotype.lease": "5 weeks"}, [], "calotype.lease: must be a time"),
        ({}, ["http_port=99999"], "a port must be a number from 1 to 65535"),
    ],
)
def test_a_mistake_stops_the_start_with_one_sentence_and_status_1(
    tmp_path: Path, app: dict[str, str], variables: list[str], said: str
) -> None:
    ini = write_ini(tmp_path, app, TWO)
    done = run_pserve([ini, f"data_dir={tmp_path}/data", *variables])
    (line,) = (line for line in done.stdout.splitlines() if " INFO " not in line)
    assert line.startswith("calotype: ")
    assert said in line
    assert done.returncode == 1


def test_processes_that_are_not_a_number_stop_the_start(tmp_path: Path) -> None:
    done = run_pserve([write_ini(tmp_path, {}, {"processes": "many"}), f"data_dir={tmp_path}/data"])
    assert done.returncode == 1
    assert re.search(r"processes of the server: must be a whole number, or auto, not 'many'", done.stdout)


def test_a_store_that_hangs_at_the_start_does_not_prevent_it(
    start_server: StartServer, tmp_path: Path
) -> None:
    """Its threads stay behind in the process of the checks, and so keep nothing from forking."""
    server = start_hanging(start_server, tmp_path, "check", TWO)
    assert "store 'hanging': it does not answer; it is examined at its first use" in server.log
    assert server.upload(b"bytes")["store"] == "file"


def test_the_warnings_of_the_start_are_logged_once(start_server: StartServer, tmp_path: Path) -> None:
    tokens = {"calotype.identity": "tokens", "calotype.tokens_file": f"{tmp_path}/tokens.json"}
    server = start_server(tokens, TWO)
    wait_for(lambda: len(server.query("SELECT pid FROM processes")) == 2)
    assert server.log.count("WARNING") == 1


def test_commands_that_need_the_database_to_themselves_see_the_processes(server: Server) -> None:
    pids(server)
    done = run_manage(["db", "new-id", server.ini, "--yes", *server.variables])
    assert done.returncode == 1
    assert "a process still serves on this database" in done.stderr


def test_each_job_runs_once(server: Server) -> None:
    """Every process offers to run jobs, and leases give each to one of them."""
    pids(server)
    ids = []
    for number in range(12):
        answer = server.post("/v2/images", {"Content-Type": "application/json"}, FORMATS)
        ids.append(answer.json["id"])
        assert server.put(f"/v2/images/{ids[-1]}/stage", OCTETS, b"%d" % number * 1000).status == 204
        method = json.dumps({"method": {"name": "glance-direct"}}).encode()
        server.post(f"/v2/images/{ids[-1]}/import", {"Content-Type": "application/json"}, method)
    active = "SELECT id FROM images WHERE status = 'active'"
    wait_for(lambda: len(server.query(active)) == len(ids))
    assert len(server.blobs()) == len(ids)
    wait_for(lambda: server.log.count('"verb": "import"') >= len(ids))
    ran = Counter(re.findall(r'"verb": "import", "outcome": "done", "image_id": "([^"]+)"', server.log))
    assert ran == dict.fromkeys(ids, 1)


FORMATS = json.dumps({"disk_format": "raw", "container_format": "bare"}).encode()


def test_the_admin_listener_is_shared_too(start_server: StartServer, tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"
    server = start_server({"calotype.metrics": "true", "calotype.admin_listen": f"unix:{path}"}, TWO)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert b"calotype_store_capacity_bytes" in read_to_end(connection)
    assert server.get("/metrics").status == 404


def test_a_reload_under_load_fails_no_request_and_applies_the_new_ini_file(start_server: StartServer) -> None:
    server = start_server(server=TWO, env=COMMAND)
    before = pids(server)
    with Load(server.port, "/versions", clients=4) as load:
        load.await_more()
        text = server.ini.read_text()
        server.ini.write_text(text.replace("[app:main]", "[app:main]\ncalotype.list_limit = 1"))
        server.process.send_signal(signal.SIGHUP)
        wait_for(lambda: not any(map(runs, before)))
        load.await_more()
    assert load.failures == []
    for _ in range(2):
        server.upload(b"bytes", is_public="True")
    assert len(server.get("/images").json["images"]) == 1
    assert pids(server) & before == set()
    assert server.stop() == 0


def test_a_reload_with_a_mistake_in_the_ini_file_logs_the_sentence(start_server: StartServer) -> None:
    server = start_server(server=TWO, env=COMMAND)
    before = pids(server)
    text = server.ini.read_text()
    server.ini.write_text(text.replace("[app:main]", "[app:main]\ncalotype.lease = 5 weeks"))
    server.process.send_signal(signal.SIGHUP)
    wait_for(lambda: "cannot reload" in server.log)
    (line,) = (line for line in server.log.splitlines() if "5 weeks" in line)
    assert re.search(
        r"ERROR calotype_server.supervisor cannot reload, .*: calotype: .*: calotype.lease: ", line
    )
    assert pids(server) == before
    assert server.upload(b"bytes")["status"] == "active"


def test_with_the_option_reload_one_process_serves(tmp_path: Path) -> None:
    """It watches files in a thread, and a process with threads must not fork."""
    ini, (port,) = write_ini(tmp_path, {}, TWO), free_ports(1)
    arguments = ["--reload", ini, f"data_dir={tmp_path}/data", f"http_port={port}"]
    process = start_pserve(arguments, tmp_path / "log", tmp_path, {})

    def processes() -> list[dict[str, object]]:
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz") as answer,
        ):
            return json.load(answer)["processes"]
        return []

    try:
        assert len(wait_for(processes)) == 1
        assert "processes serve" not in (tmp_path / "log").read_text()
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
