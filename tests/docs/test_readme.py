"""The README's tour, typed as it is written."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from tests.docs.pages import ROOT, read_blocks
from tests.running.server import Server

FIRST_LINE = "IMAGES=http://127.0.0.1:9292/images\n"
_MARK = "=== end of a block ==="
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def masked(text: str) -> str:
    """Text with the ids gone, for they are new each time."""
    return _ID.sub("ID", text.replace("\r", "")).strip("\n")


def test_the_tour_says_what_the_readme_says(fresh_server: Server, tmp_path: Path) -> None:
    blocks = [block for block in read_blocks(ROOT / "README.md") if block.language in ("sh", "text")]
    commands = [block.text for block in blocks if block.language == "sh"]
    expected: list[str] = []
    for block in blocks:  # a block of commands without one of output after it says nothing
        if block.language == "text":
            expected[-1] = block.text
        else:
            expected.append("")
    assert commands[0].startswith(FIRST_LINE)
    commands[0] = commands[0].replace(FIRST_LINE, f"IMAGES={fresh_server.base}/images\n")
    script = "".join(f"{text}\necho '{_MARK}'\n" for text in commands)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], cwd=tmp_path, capture_output=True, text=True
    )
    said = done.stdout.split(_MARK)[:-1]

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert [masked(text) for text in said] == [masked(text) for text in expected]
    assert fresh_server.blobs() == []
    assert list(tmp_path.glob("*.raw")) == []
