"""docs/recordings.md: what `calotype` shows on a terminal of 80 columns, recorded in tmux.

    CALOTYPE_RECORD=1 make test PYTEST=tests/docs/test_recordings.py

writes the page anew. Without the variable, the test compares the screens with the page, except for figures.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.test_deploy import need
from tests.support.pages import DOCS, read_blocks
from tests.support.server import Server, write_ini
from tests.support.v2 import stores
from tests.support.waiting import wait_for
from tests.support.web import Halves, Web

#: A busy machine shows other moments of a transfer.
pytestmark = pytest.mark.campaign

PAGE = DOCS / "recordings.md"
RECORDING = "CALOTYPE_RECORD" in os.environ
MIB = 1 << 20
_HEAD = """\
# Recordings

What `calotype` shows on a terminal of 80 columns.
`CALOTYPE_RECORD=1 make test PYTEST=tests/docs/test_recordings.py` has recorded it in tmux.
The server is on the same machine, and `--limit-rate` makes the transfers slow.
"""
_TITLES = {
    "push": "A push that is stopped and goes on",
    "pull": "A pull",
    "import": "An import and its phases",
}


class Terminal:
    """A shell in a terminal of tmux."""

    def __init__(self, folder: Path, environ: dict[str, str]):
        self._socket = f"calotype-{uuid.uuid4()}"
        words = " ".join(f"{name}='{value}'" for name, value in environ.items())
        self._tmux("new-session", "-d", "-x", "80", "-y", "30", f"cd {folder}; env -i {words} bash --norc")
        wait_for(self.screen)

    def _tmux(self, *arguments: str) -> str:
        command = ["tmux", "-L", self._socket, "-f", "/dev/null", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def type(self, line: str) -> None:
        """Type a line, and Enter."""
        self._tmux("send-keys", "-l", line)
        self._tmux("send-keys", "Enter")

    def press(self, key: str) -> None:
        """Press a key, such as C-c."""
        self._tmux("send-keys", key)

    def screen(self) -> str:
        """Return the lines of the screen, without blank ones at its end."""
        return self._tmux("capture-pane", "-p").rstrip()

    def wait(self, pattern: str) -> str:
        """Wait until the screen matches, and return it."""
        return wait_for(self.screen, lambda text: re.search(pattern, text, re.M), pause=0.1)

    def close(self) -> None:
        """End the shell and tmux."""
        self._tmux("kill-server")


@pytest.fixture(scope="module")
def web() -> Iterator[Web]:
    """The web server of the import."""
    with Web() as running:
        yield running


@pytest.fixture(scope="module")
def recorded_server(tmp_path_factory: pytest.TempPathFactory, web: Web) -> Iterator[Server]:
    """A server that may import from the web server."""
    folder = tmp_path_factory.mktemp("recorded")
    running = Server(folder, write_ini(folder, stores(web)))
    yield running
    running.stop()


@pytest.fixture
def terminal(recorded_server: Server, tmp_path: Path) -> Iterator[Terminal]:
    """A terminal in a folder with a file of 60 MiB, for a user of the server."""
    need("tmux", "tmux")
    (tmp_path / "debian-12.raw").write_bytes(os.urandom(MIB) * 60)
    opened = Terminal(
        tmp_path,
        {
            "HOME": str(tmp_path),
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
            "TERM": "screen-256color",
            "LANG": "C.UTF-8",
            "PS1": "$ ",
            "CALOTYPE_URL": recorded_server.base,
        },
    )
    yield opened
    opened.close()


def masked(screen: str) -> list[str]:
    """Return the lines of a screen without ids, ports, figures and the positions of bars."""
    text = re.sub(
        r"\b[0-9a-f]{8}(-[0-9a-f]{4,12}){4}$|\([0-9a-f]{8}\)|^[0-9a-f]{8}", "ID", screen, flags=re.M
    )
    text = re.sub(r"[━╸╺]+", "━", re.sub(r"127\.0\.0\.1:\d+/[0-9a-f-]{36}", "WEB", text))
    text = re.sub(r"[\d:]*\d:\d+|-[-:]*:-+", "TIME", text)
    text = re.sub(r"^[-\\|/] ", "SPINNER ", text, flags=re.M)
    text = re.sub(r"[\d.]+(/[\d.]+)? (bytes|[KM]?i?B(/s)?)", "SIZE", text)
    return [re.sub(" +", " ", line).strip() for line in text.splitlines()]


def compare(scene: str, screens: list[str]) -> None:
    """Compare the screens with those of the page, or write them into the page."""
    if RECORDING:
        _write(scene, screens)
    assert [masked(screen) for screen in screens] == [masked(text) for text in recorded(scene)]


def recorded(scene: str) -> list[str]:
    """Return the screens of a scene on the page."""
    return [block.text.rstrip() for block in read_blocks(PAGE) if f"{block.caption}".startswith(scene)]


def _write(scene: str, screens: list[str]) -> None:
    found = {each: screens if each == scene else recorded(each) for each in _TITLES}
    parts = [_HEAD]
    for each, title in _TITLES.items():
        parts.append(f"\n## {title}\n")
        for number, text in enumerate(found[each], 1):
            parts.append(f"\n```{{code-block}} text\n:caption: {each} {number}\n\n{text}\n```\n")
    PAGE.write_text("".join(parts))


def test_a_push_that_is_stopped_and_goes_on(terminal: Terminal) -> None:
    terminal.type("calotype push debian-12.raw --limit-rate 10M")
    begun = terminal.wait(r"[2-5]\d\.\d/60\.0 MiB +[\d.]+ .iB/s")
    terminal.press("C-c")
    terminal.wait(r"Run the same command again to go on\.\n\$")
    terminal.type("calotype push debian-12.raw --limit-rate 10M")
    resumed = terminal.wait(r"(?s)again to go on.* [2-5]\d\.\d/60\.0 MiB +[\d.]+ .iB/s")
    done = terminal.wait(r"(?s)active +60\.0 MiB.*\n\$\Z")

    compare("push", [begun, resumed, done])


def test_a_pull(terminal: Terminal) -> None:
    terminal.type("calotype push debian-12.raw pulled 2> said; clear")
    terminal.wait(r"\A\$\Z")
    terminal.type("calotype pull pulled copy.raw --limit-rate 20M")
    begun = terminal.wait(r"[1-5]\d\.\d/60\.0 MiB +[\d.]+ .iB/s")
    done = terminal.wait(r"(?s)size +60\.0 MiB\n\$\Z")

    compare("pull", [begun, done])


def test_an_import_and_its_phases(terminal: Terminal, web: Web) -> None:
    gate = threading.Event()
    url = web.answer(Halves(os.urandom(MIB) * 8, gate), "/disk.raw")
    terminal.type(f"calotype import {url} imported")
    begun = terminal.wait(r"\): \w+(?! \(pending)\b.*\d:\d\d$")
    gate.set()
    done = terminal.wait(r"(?s)active +8\.0 MiB.*\n\$\Z")

    compare("import", [begun, done])
