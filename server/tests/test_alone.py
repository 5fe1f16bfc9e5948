"""The server serves any application, in an environment without the rest of this project."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import waitress

APPLICATION = """
import importlib.util
import logging

from calotype_server import ServerSettings, serve

for name in ("calotype", "pydantic", "pyramid", "paste"):
    assert importlib.util.find_spec(name) is None, name


def application(environ, start_response):
    length = str(len(environ["wsgi.input"].read()))
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(length)))])
    return [length.encode()]


logging.basicConfig(level=logging.INFO, format="%(message)s")
serve(application, ServerSettings(listen="127.0.0.1:0", threads=2, stream_over=0))
"""


def test_any_wsgi_application_is_served_without_the_core(tmp_path: Path) -> None:
    (tmp_path / "waitress").symlink_to(Path(waitress.__file__).parent)
    path = os.pathsep.join([str(Path(__file__).parents[1] / "src"), str(tmp_path)])
    command = [sys.executable, "-S", "-c", APPLICATION]
    with subprocess.Popen(command, env={"PYTHONPATH": path}, stderr=subprocess.PIPE, text=True) as process:
        try:
            line = process.stderr.readline()
            assert line.startswith("listening on http://127.0.0.1:"), line + process.stderr.read()
            with urllib.request.urlopen(line.split()[-1], data=b"x" * 100_000, timeout=20) as answer:
                assert answer.read() == b"100000"
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
