"""The extension of docs/writing-an-extension.md can be installed and works."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import StartServer
from tests.docs.test_writing_a_store import app_lines, created, run
from tests.support.pages import DOCS, block_called, read_blocks
from tests.support.server import Server
from tests.support.waiting import wait_for

PAGE = DOCS / "writing-an-extension.md"
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which the page's distribution counts as installed."""
    folder = created(tmp_path_factory.mktemp("notes"), PAGE)
    for block in read_blocks(PAGE):
        if block.language == "python":
            assert block.text in (folder / block.caption.removeprefix("from ")).read_text()
    site = folder / "site"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    run([*command, "--disable-pip-version-check", "--target", site, folder])
    return {**os.environ, "PYTHONPATH": str(site)}


@pytest.fixture
def server(start_server: StartServer, env: dict[str, str]) -> Server:
    lines = {**app_lines(PAGE), "extension.notes.interval": "0.2"}
    return start_server(lines, env={"PYTHONPATH": env["PYTHONPATH"]})


def test_the_pages_extension_keeps_texts(server: Server, env: dict[str, str]) -> None:
    image_id = server.reserve(name="a")["id"]
    typed = block_called(PAGE, "a text, written and read").text
    assert server.get(f"/v2/notes/{image_id}").status == 404
    typed = typed.replace("http://127.0.0.1:9292", server.base).replace("IMAGE_ID", image_id)
    for line in typed.splitlines():
        said = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True).stdout
    assert json.loads(said) == {"text": "golden image"}
    assert server.put(f"/v2/notes/{image_id}", JSON, b'{"text": "a text that is too long"}').status == 400
    assert server.put("/v2/notes/none", JSON, b'{"text": "x"}').status == 404

    server.delete(f"/images/{image_id}")
    command = [Path(sys.executable).with_name("calotype-manage"), "db"]
    where = [server.ini, f"data_dir={server.data_dir}"]
    assert run([*command, "current", *where], env) == block_called(PAGE, "what db current prints").text
    run([*command, "check", *where], env)
    assert_forgotten(server)


def assert_forgotten(server: Server) -> None:
    """Wait until the background work has removed the notes of deleted images."""
    with sqlite3.connect(server.data_dir / "calotype.sqlite") as raw:
        wait_for(lambda: raw.execute("SELECT count(*) FROM notes_texts").fetchone() == (0,), seconds=20)


def test_the_pages_extension_is_off_without_its_lines(start_server: StartServer, env: dict[str, str]) -> None:
    server = start_server(env={"PYTHONPATH": env["PYTHONPATH"]})
    assert server.get(f"/v2/notes/{server.reserve(name='a')['id']}").status == 404
