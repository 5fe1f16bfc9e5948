"""The application is plain WSGI, so stock waitress and gunicorn serve it too."""

from __future__ import annotations

import configparser
import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import time
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from tests.conftest import StartServer
from tests.servers.common import free_ports
from tests.support.answers import statuses
from tests.support.pages import DOCS, block_called
from tests.support.server import OCTETS, ROOT, meta, write_ini


def test_stock_waitress_serves_the_application(start_server: StartServer, monkeypatch: pytest.MonkeyPatch):
    (port,) = free_ports(1)
    monkeypatch.setattr("tests.support.server.free_ports", lambda count: [port])  # it expands no variables
    waitress = {
        "use": "egg:waitress#main",
        "listen": f"127.0.0.1:{port}",
        "clear_untrusted_proxy_headers": "false",
        "underscore_headers": "",
    }
    server = start_server(server=waitress)
    content = bytes(range(256)) * 4096
    image = server.upload(content, name="plain", is_public="True")
    assert (image["status"], image["size"]) == ("active", len(content))
    assert server.get(f"/images/{image['id']}").body == content
    assert_heads(port, image["id"], len(content), server.reserve()["id"])
    part = server.get(f"/images/{image['id']}", {"Range": "bytes=1000-1999"})
    assert (part.status, part.body) == (206, content[1000:2000])
    chunked = server.post("/images", {**OCTETS, **meta(name="chunks")}, iter([b"abc", b"def"]))
    assert chunked.image["size"] == 6
    assert server.delete(f"/images/{image['id']}").status == 200
    for foreign in ({"Origin": "http://evil.example"}, {"X-Forwarded-For": "192.0.2.7"}):
        assert server.get("/images", foreign).status == 403, foreign
    rebound = server.speak(b"GET /images HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
    assert statuses(rebound) == [403]


@pytest.mark.parametrize("preload", [True, pytest.param(False, marks=pytest.mark.campaign)])
def test_each_worker_of_gunicorn_does_its_own_background_work(tmp_path: Path, preload: bool):
    """A worker forked from a process with the application makes its own parts. The workers add up metrics."""
    (port,) = free_ports(1)
    app = write_ini(tmp_path, {"calotype.sweep_interval": "0", "calotype.metrics": "true"})
    shared = tmp_path / "shared"
    shared.mkdir(0o700)
    pool = ["--workers=2", "--threads=2", "--worker-class=gthread", *(["--preload"] if preload else [])]
    command = [Path(sys.executable).with_name("gunicorn"), f"--bind=127.0.0.1:{port}", *pool]
    with (
        (tmp_path / "log").open("wb") as log,
        subprocess.Popen(
            [*command, "--paste", f"{app}", f"--paste-global=data_dir={tmp_path / 'data'}"],
            stdout=log,
            stderr=log,
            cwd=ROOT,
            env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(shared)},
        ) as gunicorn,
    ):
        try:
            pids = await_processes(port, 2)
            assert gunicorn.pid not in pids
            image = make(port, b"x" * 1000)
            assert_heads(port, image, 1000, make(port))
            assert {count_heads(port) for _ in range(10)} == {4}
        finally:
            gunicorn.terminate()
            gunicorn.wait(30)
    assert "Traceback" not in (tmp_path / "log").read_text()


def test_gunicorn_serves_with_the_section_in_operations(tmp_path: Path):
    """Headers with `_` arrive, uploads stream, and are refused before their bytes come."""
    (port,) = free_ports(1)
    section = configparser.RawConfigParser()
    section.read_string(block_called(DOCS / "operations.md", "calotype.ini for gunicorn").text)
    ours = {"listen": "", "underscore_headers": ""}
    settings = {**ours, **section["server:main"], "port": str(port)}
    ini = write_ini(tmp_path, {"calotype.sweep_interval": "0"}, settings)
    command = [Path(sys.executable).with_name("pserve"), ini, f"data_dir={tmp_path}"]
    with (tmp_path / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as gunicorn:
        try:
            await_processes(port, 1)
            assert b'"min_disk": 7' in exchange(port, b"x-image-meta-min_disk: 7", b"Content-Length: 0")
            refused = exchange(port, b"x-image-meta-store: none", b"Content-Length: 10000000000")
            assert refused.startswith(b"HTTP/1.1 400 ")
            assert make(port, b"x" * 1000)
        finally:
            gunicorn.terminate()
            gunicorn.wait(30)
    assert "Traceback" not in (tmp_path / "log").read_text()


def exchange(port: int, *fields: bytes) -> bytes:
    """Send the head of an upload without its body, and return the response."""
    head = [b"POST /images HTTP/1.1", b"Host: localhost", b"Content-Type: application/octet-stream", *fields]
    head.append(b"Connection: close")
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(b"\r\n".join([*head, b"", b""]))
        return b"".join(iter(partial(connection.recv, 65536), b""))


def make(port: int, content: bytes | None = None) -> str:
    """Create an image with this content, or reserve one if it is None; return the id."""
    body = iter([content]) if content is not None else iter(())
    asked = Request(f"http://127.0.0.1:{port}/images", body, OCTETS, method="POST")
    with urlopen(asked) as answer:
        image = json.load(answer)["image"]
    assert image["status"] == ("queued" if content is None else "active")
    return image["id"]


def assert_heads(port: int, image_id: str, size: int, queued: str) -> None:
    """r1-B4: a HEAD has the length, no body, and a connection that can be used again."""
    with contextlib.closing(HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        for path, length in (
            (f"/images/{image_id}", size),
            (f"/v2/images/{image_id}/file", size),
            (f"/images/{queued}", None),
            (f"/v1/images/{image_id}", size),
        ):
            connection.request("HEAD", path)
            answer = connection.getresponse()
            assert (answer.status, answer.read()) == (200, b"")
            assert answer.headers["Content-Length"] == (None if length is None else str(length))
            assert (answer.headers["Accept-Ranges"] is None) == (length is None)


def count_heads(port: int) -> float:
    """Return how many HEAD requests a scrape reports."""
    with urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        return float(re.search(rb'seconds_count\{method="HEAD",status="2xx"\} (\S+)', answer.read())[1])


def await_processes(port: int, count: int) -> set[int]:
    """Send requests until at least this many processes have answered, and return their ids."""
    end = time.monotonic() + 90
    while time.monotonic() < end:
        with contextlib.suppress(OSError), urlopen(f"http://127.0.0.1:{port}/readyz") as answer:
            pids = {process["pid"] for process in json.load(answer)["processes"]}
            if len(pids) >= count:
                return pids
        time.sleep(0.05)
    raise AssertionError("they did not come")
