"""The files in docs/deploy, as systemd and nginx read them."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPSConnection
from pathlib import Path

import pytest

from tests.conftest import StartServer
from tests.edge.test_admin_listen import COLLECTED, SPELLINGS
from tests.servers import common
from tests.support.callers import Tokens
from tests.support.pages import DOCS
from tests.support.server import OCTETS, Server
from tests.support.uploads import PARTIAL

DEPLOY = DOCS / "deploy"
UNIT = DEPLOY / "calotype.service"
#: Larger than nginx's default limit of bodies, and than its buffers in memory.
BIG = 24 << 20
#: The rest of nginx's configuration around a site's file.
AROUND = """
daemon off;
{user}
pid {folder}/pid;
error_log stderr;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/site;
}}
"""


def need(command: str, package: str) -> None:
    """Install the Debian package of a missing command, or skip the test."""
    if shutil.which(command) is None:
        try:
            common.apt(package)
        except common.Unavailable as error:
            if "CI" in os.environ:
                raise
            pytest.skip(str(error))


def replaced(path: Path, **changes: str) -> str:
    """Return a file's text with these replacements, each of which must apply."""
    text = path.read_text()
    for old, new in changes.items():
        assert old in text, f"{path.name} has no {old}"
        text = text.replace(old, new)
    return text


@dataclass(frozen=True)
class Site:
    """The service behind nginx, and an administrator's token."""

    server: Server
    port: int
    trusted: ssl.SSLContext
    token: dict[str, str]

    def connect(self) -> HTTPSConnection:
        """Return a TLS connection to nginx."""
        return HTTPSConnection("localhost", self.port, timeout=60, context=self.trusted)

    def request(
        self, method: str, path: str, headers: dict[str, str], body: object = None
    ) -> tuple[int, dict, bytes]:
        """Send a request through nginx, and return its status, headers (in lower case) and body."""
        with closing(self.connect()) as connection:
            connection.request(method, path, body, {**self.token, **headers})
            answer = connection.getresponse()
            named = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, named, answer.read()


@pytest.fixture
def site(start_server: StartServer, tmp_path: Path) -> Iterator[Site]:
    need("nginx", "nginx-light")
    tokens = Tokens(tmp_path)
    token = {"X-Auth-Token": tokens.add("admin", "default", ("admin",))}
    server = start_server(
        {
            "store.file.accel": "/internal/file/",
            **tokens.settings,
            "calotype.metrics": "true",
        },
        {
            "trusted_proxy": "127.0.0.1",
            "trusted_proxy_headers": "x-forwarded-for x-forwarded-proto x-forwarded-host",
        },
    )
    (port,) = common.free_ports(1)
    folder = common.Server(tmp_path / "nginx")
    certificate, key = folder.certificate()
    changes = {
        "server 127.0.0.1:9292;": f"server 127.0.0.1:{server.port};",
        "listen 443 ssl;": f"listen 127.0.0.1:{port} ssl;",
        "    listen [::]:443 ssl;\n": "",
        "/etc/ssl/certs/images.example.com.pem": str(certificate),
        "/etc/ssl/private/images.example.com.key": str(key),
        "/var/lib/calotype/images/": f"{server.data_dir}/images/",
    }
    folder.path("site", text=replaced(DEPLOY / "nginx.conf", **changes))
    user = "" if os.geteuid() else "user root;"
    conf = folder.path("nginx.conf", text=AROUND.format(folder=folder.folder, user=user))
    nginx = folder.spawn("nginx", ["nginx", "-e", "stderr", "-c", conf])
    try:
        folder.wait(common.listening(port))
        yield Site(server, port, ssl.create_default_context(cafile=certificate), token)
    finally:
        folder.stop()
        nginx.wait()


def test_systemd_verifies_the_unit_without_complaints(tmp_path: Path) -> None:
    need("systemd-analyze", "systemd")
    unit = tmp_path / UNIT.name
    pserve = Path(sys.executable).with_name("pserve")
    unit.write_text(replaced(UNIT, **{"/opt/calotype/bin/pserve": str(pserve)}))

    done = subprocess.run(
        ["systemd-analyze", "verify", "--recursive-errors=no", unit], capture_output=True, text=True
    )

    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_systemd_rates_the_exposure_of_the_unit_as_low() -> None:
    need("systemd-analyze", "systemd")

    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=25", UNIT],
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stdout


def test_nginx_passes_a_large_body_on_as_it_arrives(site: Site) -> None:
    """The service has written the first half before the client sends the second."""
    half, arrived = bytes(BIG // 2), threading.Event()

    def body() -> Iterator[bytes]:
        yield half
        assert arrived.wait(30), "nginx keeps the body back"
        yield half

    def watch() -> None:
        state = "SELECT state FROM image_locations"
        while not site.server.query(state):
            stop.wait(0.1)
        arrived.set()

    stop = threading.Event()
    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    status, _, _ = site.request("POST", "/images", {**OCTETS, "Content-Length": str(BIG)}, body())
    watcher.join(30)

    assert status == 200
    (row,) = site.server.query("SELECT size, status FROM images")
    assert row == (BIG, "active")


def test_nginx_serves_downloads_itself_with_the_services_headers(site: Site) -> None:
    data = os.urandom(300_000)
    image = site.server.post("/images", {**OCTETS, **site.token}, data).image
    path = f"/images/{image['id']}"
    ours = site.server.get(path, site.token)

    status, headers, body = site.request("GET", path, {})

    assert ours.headers["X-Accel-Redirect"].startswith("/internal/file/")
    assert (status, body) == (200, data)
    assert headers["etag"].strip('"') == image["checksum"]
    assert headers["x-openstack-request-id"].startswith("req-")
    assert "x-accel-redirect" not in headers
    digest = base64.b64encode(hashlib.sha256(data).digest()).decode()
    wanted = {"Range": "bytes=-5", "Want-Repr-Digest": "sha-256=1", "Want-Content-Digest": "sha-256=1"}
    status, ranged, body = site.request("GET", path, wanted)
    assert (status, body, ranged["repr-digest"]) == (206, data[-5:], f"sha-256=:{digest}:")
    assert "content-digest" not in ranged
    same = {"Range": "bytes=0-1", "If-Range": headers["etag"]}
    other = {"Range": "bytes=0-1", "If-Range": '"other"'}
    assert site.request("GET", path, same)[::2] == (206, data[:2])
    assert site.request("GET", path, other)[::2] == (200, data)
    assert site.request("GET", path, {"If-None-Match": headers["etag"]})[0] == 304
    assert site.request("GET", ours.headers["X-Accel-Redirect"], {})[0] == 404


def test_the_service_gets_the_clients_address_and_scheme(site: Site) -> None:
    forged = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Host": "evil.example.com"}

    status, headers, body = site.request("GET", "/versions", forged)

    assert status == 200
    assert f"https://localhost:{site.port}/".encode() in body
    (line,) = site.server.log_lines(headers["x-openstack-request-id"])
    assert "addr=127.0.0.1 " in line
    assert "203.0.113.9" not in line


def test_nginx_passes_headers_with_underscores_and_many_properties(site: Site) -> None:
    fields = {f"x-image-meta-property-p{number}": "v" * 400 for number in range(70)}

    status, _, _ = site.request("POST", "/images", {**fields, "x-image-meta-is_public": "True"})

    assert status == 200
    ((image_id,),) = site.server.query("SELECT id FROM images WHERE visibility = 'public'")
    status, headers, _ = site.request("HEAD", f"/images/{image_id}", {})
    assert status == 200
    assert headers["x-image-meta-property-p69"] == "v" * 400


def test_nginx_passes_events_on_as_they_happen(site: Site) -> None:
    with closing(site.connect()) as connection:
        connection.request("GET", "/events", headers=site.token)
        stream = connection.getresponse()
        assert stream.status == 200
        assert stream.readline().startswith(b"retry:")
        made = site.server.post("/images", {**site.token, "x-image-meta-name": "n"})
        assert made.status == 200
        began = time.monotonic()
        while stream.readline() != b"event: created\n":
            pass
        assert time.monotonic() - began < 10  # the next line that is no event comes after 15 seconds


def test_an_upload_continues_behind_nginx(site: Site) -> None:
    """A client that begins without bytes, and names no version, learns the URL of its upload."""
    assert site.request("PUT", reserve(site), {**OCTETS, "Upload-Complete": "?1"}, b"all")[0] == 204
    path = reserve(site)
    begun = {**OCTETS, "Upload-Complete": "?0", "Content-Length": "0"}
    status, headers, _ = site.request("PUT", path, begun)
    base, found, name = headers["location"].partition("/uploads/")
    assert (status, base) == (201, f"https://localhost:{site.port}")
    for offset, complete in ((0, "?0"), (5, "?1")):
        given = {
            "Content-Type": PARTIAL,
            "Upload-Offset": f"{offset}",
            "Upload-Complete": complete,
        }
        status, _, _ = site.request("PATCH", f"{found}{name}", given, b"bytes")
        assert status == 204
    assert site.request("GET", path, {})[2] == b"bytesbytes"


def reserve(site: Site) -> str:
    """Create an image without bytes, and return the path of its bytes."""
    document = {"disk_format": "raw", "container_format": "bare"}
    json_type = {"Content-Type": "application/json"}
    status, _, body = site.request("POST", "/v2/images", json_type, json.dumps(document).encode())
    assert status == 201
    return f"/v2/images/{json.loads(body)['id']}/file"


def test_no_spelling_of_metrics_passes_nginx(site: Site) -> None:
    """r1-C7: this service has no admin listener, so it would answer `/metrics/` and `/metrics%2f`."""
    assert COLLECTED in site.server.get("/metrics/").body
    found = {target: site.request("GET", target, {}) for target in SPELLINGS}

    assert {target for target, (_, _, body) in found.items() if COLLECTED in body} == set()
    assert {status for status, _, _ in found.values()} <= {400, 404}
    assert site.request("GET", "/healthz", {})[::2] == (200, b"ok\n")
