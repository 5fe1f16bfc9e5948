"""Identity `none` serves only programs on this machine, and no request from a proxy or a web page.

Every caller is an administrator, so a web page that reached 127.0.0.1:9292 could delete all images.
"""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from webtest import TestApp

from calotype.app import make_app
from calotype_server.server import create_server
from tests.support.answers import statuses
from tests.support.server import OCTETS, Server
from tests.support.wire import read_to_end
from tests.support.workbench import Bench, make_bench, make_database

CURE = "set calotype.identity to tokens or keystone"
PATHS = (
    "/",
    "/versions",
    "/healthz",
    "/readyz",
    "/images",
    "/v1/images",
    "/v2/images",
    "/v2/schemas/image",
    "/nothing",
)
PROXY_HEADERS = {
    "Forwarded": "for=192.0.2.7;host=images.example",
    "X-Forwarded-For": "192.0.2.7",
    "X-Forwarded-Host": "images.example",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Port": "443",
    "X-Forwarded-By": "proxy",
    "X-Forwarded-Prefix": "/glance",
    "X-Real-IP": "192.0.2.7",
}
FOREIGN_HOSTS = (
    *("evil.example", "evil.example:9292", "localhost.evil.example", "evil-localhost"),
    *("127.0.0.1.evil.example", "1.127.0.0", "0.0.0.0:9292", "[::]:9292", "192.0.2.1"),
    *("[2001:db8::1]", "169.254.169.254", "127.0.0.256", "localhos", ""),
)  # fmt: skip
#: {} stands for the host and port of the server.
FOREIGN_ORIGINS = (
    *("http://evil.example", "https://{}", "http://127.0.0.1:1", "http://localhost", "null", ""),
    *("http://{}.evil.example", "{}"),
)
OWN_HOSTS = (
    *("localhost", "LOCALHOST:9292", "localhost.", "images.localhost:8080", "127.0.0.1", "127.9.8.7:1"),
    *("[::1]", "[::1]:9292", "[::ffff:127.0.0.1]:9292"),
)


def ask(server: Server, host: str | None, *lines: str, method: str = "GET", path: str = "/images") -> bytes:
    """Return the whole response to a request with this Host, or to an HTTP/1.0 request without one."""
    first = f"{method} {path} HTTP/1.{0 if host is None else 1}"
    hosts = [] if host is None else [f"Host: {host}"]
    return server.speak("\r\n".join([first, *hosts, *lines, "Connection: close", "", ""]).encode())


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with make_bench(make_database(tmp_path_factory.mktemp("local") / "registry.sqlite")) as made:
        yield made


@pytest.fixture(scope="module")
def app(bench: Bench) -> TestApp:
    """The application without a server, because a test cannot connect from other addresses."""
    return TestApp(make_app(bench.service))


@pytest.mark.parametrize("header", PROXY_HEADERS)
def test_a_request_with_headers_of_a_proxy_is_refused(server: Server, header: str) -> None:
    """A proxy on this machine connects from a loopback address, whoever its client is."""
    for path in PATHS:
        answer = server.get(path, {header: PROXY_HEADERS[header]})
        assert answer.status == 403, (path, answer.text)
        assert f"The header {header.title()}" in answer.text
        assert CURE in answer.text


@pytest.mark.parametrize("host", FOREIGN_HOSTS)
def test_a_host_that_is_not_a_loopback_name_is_refused(server: Server, host: str) -> None:
    """DNS rebinding: a page's name resolves to 127.0.0.1, so the browser takes the server for its site."""
    for path in PATHS:
        spoken = ask(server, host, path=path)
        assert statuses(spoken) == [403], (path, spoken)
        assert b"The header Host" in spoken
        assert CURE.encode() in spoken
        assert b"evil" not in spoken


@pytest.mark.parametrize("host", OWN_HOSTS)
def test_loopback_names_and_addresses_are_served(server: Server, host: str) -> None:
    assert statuses(ask(server, host)) == [200]
    assert statuses(ask(server, host, f"Origin: http://{host}")) == [200]


def test_the_host_of_an_absolute_url_overrides_the_header(server: Server) -> None:
    """r1-B8: RFC 9112 3.2.2. Links begin with that host, and the guard checks it."""
    own = f"http://localhost:{server.port}"
    links = ask(server, f"127.0.0.1:{server.port}", path=f"{own}/versions")
    assert statuses(links) == [200]
    assert f'"{own}/v2/"'.encode() in links
    assert f"127.0.0.1:{server.port}".encode() not in links
    evil = ask(server, "localhost", path="http://evil.example/versions")
    assert statuses(evil) == [403]
    assert statuses(ask(server, "evil.example", path=f"{own}/versions")) == [200]
    for target in ("http://a@localhost/versions", "http://localhost,x/versions", "http://[::1/versions"):
        assert statuses(ask(server, "localhost", path=target)) == [400], target


def test_a_client_of_http_1_0_may_omit_the_host(server: Server) -> None:
    """Browsers always send it, so such a request is not from a web page."""
    assert statuses(ask(server, None)) == [200]


@pytest.mark.parametrize("origin", FOREIGN_ORIGINS)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"])
def test_a_page_of_another_site_is_refused(server: Server, origin: str, method: str) -> None:
    """A browser sends a page's POST to any address, and only its Origin header tells which page it is."""
    host = f"127.0.0.1:{server.port}"
    spoken = ask(server, host, f"Origin: {origin.format(host)}", "Content-Length: 0", method=method)
    assert statuses(spoken) == [403]
    assert method == "HEAD" or (b"The header Origin" in spoken and CURE.encode() in spoken)


def test_a_page_of_our_own_site_is_served(server: Server) -> None:
    own = {"Origin": f"http://127.0.0.1:{server.port}"}
    assert server.get("/images", own).status == 200
    assert server.post("/images", own).status == 200


def test_a_page_cannot_store_or_delete_anything(server: Server) -> None:
    """The refusal comes before the body is read, and nothing is recorded."""
    image = server.reserve(name="kept")
    before = server.query("SELECT count(*) FROM images")
    evil = {"Origin": "http://evil.example"}
    with socket.create_connection(("127.0.0.1", server.port), timeout=15) as connection:
        lines = {
            **OCTETS,
            **evil,
            "Host": "localhost",
            "Content-Length": str(1 << 30),
            "Expect": "100-continue",
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        connection.sendall(f"POST /images HTTP/1.1\r\n{head}\r\n".encode())
        assert statuses(read_to_end(connection)) == [403]
    assert server.request("DELETE", f"/images/{image['id']}", evil).status == 403
    assert server.query("SELECT count(*) FROM images") == before
    assert server.head(f"/images/{image['id']}").status == 200


def test_each_dialect_refuses_in_its_own_form(server: Server) -> None:
    forwarded = {"X-Real-IP": "192.0.2.7"}
    for path in ("/v1/images", "/v2/images"):
        error = json.loads(server.get(path, forwarded).body)["error"]
        assert (error["code"], error["title"]) == (403, "Forbidden")
    assert server.get("/images", forwarded).headers.get_content_type() == "text/plain"


@pytest.mark.parametrize(
    "peer", ["192.0.2.7", "10.0.0.1", "2001:db8::1", "::ffff:192.0.2.7", "fe80::1%eth0", "unknown"]
)
def test_a_request_from_another_machine_is_refused_on_any_wsgi_server(app: TestApp, peer: str) -> None:
    """Our server refuses to start on a public address, but other WSGI servers do not."""
    for path in PATHS:
        answer = app.get(path, extra_environ={"REMOTE_ADDR": peer}, status=403)
        assert "another machine" in answer.text
        assert CURE in answer.text


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.3.2.1", "::1", "::ffff:127.0.0.1", "localhost", ""])
def test_a_request_from_this_machine_is_served(app: TestApp, peer: str) -> None:
    assert app.get("/images", extra_environ={"REMOTE_ADDR": peer}).status_int == 200


def test_a_request_through_a_unix_socket_is_served(bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    server = create_server(make_app(bench.service), unix_socket=str(path))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(path))
            connection.sendall(b"GET /images HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            response = http.client.HTTPResponse(connection)
            response.begin()
            assert response.status == 200
    finally:
        server.stop()
        thread.join(30)


@given(host=st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=30))
@example("127.0.0.1@evil.example")
@example("127.0.0.1:80:80")
@example("[127.0.0.1]:x")
@example("localhost:")
def test_any_host_that_is_not_a_loopback_name_is_refused_and_never_ends_in_500(
    app: TestApp, host: str
) -> None:
    """A malformed Host is refused, too."""
    answer = app.get("/healthz", extra_environ={"HTTP_HOST": host}, expect_errors=True)
    name = host.lower().rpartition(":")[0] or host.lower()
    local = name.endswith("localhost") or name.startswith(("127.", "[127.", "[::", "localhost", "[0"))
    assert answer.status_int in ((200, 403) if local else (403,))
