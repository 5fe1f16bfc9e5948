"""The commands of the README and of the pages about the API print what the pages say."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.support.pages import DOCS, ROOT, read_blocks
from tests.support.server import Server

#: The service's address in the first command of each page.
ADDRESS = "=http://127.0.0.1:9292"
_MARK = "=== end of a block ==="
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def masked(text: str) -> str:
    """Return the text without ids, which are new in each run."""
    return _ID.sub("ID", text.replace("\r", "")).strip("\n")


def read_tour(page: Path) -> tuple[list[str], list[str]]:
    """Return the page's blocks of commands, each with its expected output, which may be empty."""
    commands: list[str] = []
    printed: list[str] = []
    for block in read_blocks(page):
        if block.language == "sh":
            commands.append(block.text)
            printed.append("")
        elif block.language == "text":
            printed[-1] = block.text
    return commands, printed


PAGES = [ROOT / "README.md", *(DOCS / name for name in ("api.md", "events.md", "extents.md", "uploads.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_commands_print_what_the_page_says(page: Path, fresh_server: Server, tmp_path: Path) -> None:
    commands, printed = read_tour(page)
    assert ADDRESS in commands[0]
    commands[0] = commands[0].replace(ADDRESS, f"={fresh_server.base}")
    folder = tmp_path / "somewhere"
    folder.mkdir()
    script = "".join(f"{text}\necho '{_MARK}'\n" for text in commands)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], cwd=folder, capture_output=True, text=True
    )
    said = done.stdout.split(_MARK)[:-1]

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert [masked(text) for text in said] == [masked(text) for text in printed]
    assert fresh_server.blobs() == []
    assert list(folder.iterdir()) == []
