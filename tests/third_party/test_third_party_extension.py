"""A third party's extension, installed as its users install it, without a change of the core."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.environment import Environment
from tests.support.server import Server, write_ini

JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def server(installed: Environment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server in the fresh environment, in which an option of the extension switches it on."""
    folder = tmp_path_factory.mktemp("guestbook")
    keys = {"extension.guestbook.keep": "1.5s", "extension.guestbook.interval": "0.2"}
    running = Server(folder, write_ini(folder, keys), python=installed.python, env={"PYTHONPATH": ""})
    yield running
    running.stop()


def entries(server: Server) -> list[str]:
    return server.get("/guestbook").json["entries"]


def test_the_extension_has_a_route_a_table_options_and_background_work(server: Server) -> None:
    assert entries(server) == []
    assert server.post("/guestbook", JSON, json.dumps("Grüße").encode()).status == 201
    assert entries(server) == ["Grüße"]
    assert server.post("/guestbook", JSON, b"7").json["error"]["code"] == 400
    assert server.get("/images").status == 200
    end = time.monotonic() + 20
    while entries(server):
        assert time.monotonic() < end, "the entry is kept"
        time.sleep(0.1)


def test_the_command_shows_the_extensions_branch(server: Server, installed: Environment) -> None:
    said = installed.run("calotype-manage", "db", "current", server.ini, f"data_dir={server.data_dir}")
    assert said.splitlines() == [
        "core: at core_5, newest core_5",
        "guestbook: at guestbook_1, newest guestbook_1",
    ]


def test_without_a_key_in_the_ini_file_the_extension_is_off(installed: Environment, tmp_path: Path) -> None:
    server = Server(tmp_path, write_ini(tmp_path, {}), python=installed.python, env={"PYTHONPATH": ""})
    try:
        assert server.get("/guestbook").status == 404
        said = installed.run("calotype-manage", "db", "current", server.ini, f"data_dir={server.data_dir}")
        assert said == "core: at core_5, newest core_5\n"
    finally:
        server.stop()
