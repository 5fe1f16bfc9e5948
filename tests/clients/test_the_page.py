"""The commands of docs/clients.md work as they are written."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.clients.clients import Clients
from tests.support.pages import DOCS, read_blocks


def test_the_commands_of_the_page_about_clients_work(without_identities: Clients, tmp_path: Path) -> None:
    blocks = [block.text for block in read_blocks(DOCS / "clients.md") if block.language == "sh"]
    assert len(blocks) == 2
    script = "".join(blocks).replace("http://127.0.0.1:9292", without_identities.server.base)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        env={"PATH": f"{without_identities.bin}:{os.environ['PATH']}", "HOME": str(tmp_path)},
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "theirs" in done.stdout
