"""docs/cli.md: its commands print what it says, and so do the examples in the help of each verb."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from calotype_client.cli.failures import CLOSED, EXIT_STATUS
from calotype_client.cli.main import VERBS, calotype
from docs import manuals
from tests.docs.sentences import read_rows
from tests.support.pages import DOCS, read_blocks
from tests.support.server import Server, write_ini
from tests.support.v2 import stores
from tests.support.web import Web, reply

PAGE = DOCS / "cli.md"
_MARK = "=== end of a block ==="
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|^[0-9a-f]{8}(?=  )", re.M)
_URL = "http://127.0.0.1:9292"
#: The header of an empty disk of 1 MiB: version 2, and clusters of 64 KiB.
QCOW2 = struct.pack(">4sIQIIQ", b"QFI\xfb", 2, 0, 0, 16, 1 << 20) + bytes(512)
_EXAMPLE_ID = "5a1f6c0e-0e56-4a7b-9d0c-0f3a5d1e7b11"


def environ(home: Path, **variables: str) -> dict[str, str]:
    """Return the variables of a user with this home."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {"PATH": path, "HOME": str(home), "LANG": "C.UTF-8", **variables}


def masked(text: str, server: Server) -> str:
    """Return the text without ids, addresses and the width of columns."""
    return re.sub(r"  +", "  ", _ID.sub("ID", text.replace(server.base, "URL"))).strip()


def as_shell(language: str, text: str) -> str:
    """Return a block as a shell runs it."""
    return text if language == "sh" else f"{sys.executable} - <<'END'\n{text}\nEND"


def test_the_commands_print_what_the_page_says(fresh_server: Server, tmp_path: Path) -> None:
    commands: list[str] = []
    printed: list[str] = []
    for block in read_blocks(PAGE):
        if block.language in ("sh", "python"):
            commands.append(as_shell(block.language, block.text).replace(_URL, fresh_server.base))
            printed.append("")
        elif block.language == "text":
            printed[-1] = block.text
    folder, home = tmp_path / "somewhere", tmp_path / "home"
    folder.mkdir()
    home.mkdir()
    script = "".join(f"{text}\necho '{_MARK}'\n" for text in commands)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        capture_output=True,
        text=True,
        env=environ(home),
    )

    assert done.returncode == 0, done.stdout + done.stderr
    said = done.stdout.split(_MARK)[:-1]
    assert [masked(text, fresh_server) for text in said] == [masked(text, fresh_server) for text in printed]
    assert [*folder.iterdir()] == []


def test_the_exit_statuses_are_those_of_the_code() -> None:
    rows = {row[0] for row in read_rows(PAGE.read_text(), 2) if row[0].isdigit()}

    assert rows == {"0", "130", *map(str, EXIT_STATUS.values())}
    assert str(CLOSED) not in rows


def test_the_man_pages_are_those_of_the_commands() -> None:
    written = {path.name: path.read_text() for path in manuals.FOLDER.iterdir()}

    assert written == manuals.pages(), "run: .venv/bin/python docs/manuals.py"


def examples(verb: str) -> list[str]:
    """Return the commands in the help of a verb."""
    command = calotype.get_command(click.Context(calotype), verb)
    assert command is not None
    text = (command.help or "").partition("Examples:")[2]
    return [line.strip() for line in text.splitlines() if line.strip()]


@pytest.mark.parametrize("verb", VERBS)
def test_each_help_has_examples(verb: str) -> None:
    assert examples(verb)
    assert all(f"calotype {verb}" in example for example in examples(verb))


@pytest.fixture(scope="module")
def web() -> Iterator[Web]:
    """The web server from which the examples import."""
    pages = {
        "/debian-12.qcow2": reply(200, QCOW2),
        "/disk.raw": reply(200, b"disk"),
    }
    with Web(pages) as running:
        yield running


@pytest.fixture(scope="module")
def store_server(tmp_path_factory: pytest.TempPathFactory, web: Web) -> Iterator[Server]:
    """A server with several stores, which needs no authentication, and keeps deleted images for an hour."""
    folder = tmp_path_factory.mktemp("examples")
    running = Server(folder, write_ini(folder, {**stores(web), "calotype.delete_grace": "1h"}))
    yield running
    running.stop()


@pytest.mark.parametrize("verb", VERBS)
def test_the_examples_of_a_help_run(
    verb: str, store_server: Server, fresh_server: Server, web: Web, tmp_path: Path
) -> None:
    """They run in turn, in a folder with the files and on a server with the images that they name."""
    image_id = prepare(store_server, fresh_server, tmp_path)
    if verb == "undelete":
        run_client(tmp_path, "rm", image_id)
    places = {_EXAMPLE_ID: image_id, _URL: store_server.base, "http://images.example.com": web.url("")}
    with changing(tmp_path) if verb == "watch" else contextlib.nullcontext():
        for example in examples(verb):
            text = example
            for written, actual in places.items():
                text = text.replace(written, actual)
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", text],
                cwd=tmp_path,
                capture_output=True,
                text=True,
                env=environ(tmp_path),
                timeout=60,
            )
            assert done.returncode == 0, f"{text}\n{done.stderr}"


def prepare(server: Server, other: Server, folder: Path) -> str:
    """Make the files, the remotes and the images that the examples use, and return the id of an image."""
    for (image_id,) in server.query("SELECT id FROM images WHERE status <> 'deleted'"):
        server.delete(f"/images/{image_id}")
    (folder / "disk.raw").write_bytes(b"a raw disk")
    (folder / "debian-12.qcow2").write_bytes(QCOW2)
    (folder / "token.txt").write_text("token\n")
    for part in (".local/share/bash-completion/completions", ".zfunc", ".config/fish/completions"):
        (folder / part).mkdir(parents=True)
    for name, base in (("lab", other.base), ("prod", server.base), ("default", server.base)):
        run_client(folder, "login", base, "--no-token", "--name", name)
    for name in ("web", "web-2", "debian-12"):
        run_client(folder, "push", "-q", "disk.raw", name)
    return run_client(folder, "show", "-q", "debian-12").strip()


@contextlib.contextmanager
def changing(folder: Path) -> Iterator[None]:
    """Change an image again and again during the block."""
    ended = threading.Event()

    def change() -> None:
        for number in itertools.count():
            run_client(folder, "set", "debian-12", "-p", f"number={number}")
            if ended.wait(0.5):
                return

    thread = threading.Thread(target=change)
    thread.start()
    yield
    ended.set()
    thread.join()


def run_client(folder: Path, *arguments: str) -> str:
    """Run `calotype` in the folder, and return its output."""
    program = Path(sys.executable).with_name("calotype")
    done = subprocess.run(
        [program, *arguments], cwd=folder, capture_output=True, text=True, env=environ(folder)
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
