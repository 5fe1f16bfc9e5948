"""A real browser that visits a page and returns what the page has written."""

from __future__ import annotations

import html
import json
import re
import subprocess
from pathlib import Path
from typing import Any

from tests.servers.fixtures import Settings


def visit(chromium: Settings, folder: Path, url: str) -> dict[str, Any]:
    """Return the JSON that follows `told:` in the page's <pre>, after all its requests are answered."""
    command = [
        *(chromium["CHROMIUM"], "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}"),
        *("--virtual-time-budget=30000", "--dump-dom", url),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    found = re.search(r"told:(.*?)</pre>", done.stdout, re.DOTALL)
    assert found, done.stdout[-2000:] + done.stderr[-2000:]
    return json.loads(html.unescape(found[1]))
