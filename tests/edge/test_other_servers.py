"""The application is plain WSGI: waitress as it comes serves it too, with less."""

from __future__ import annotations

import pytest

from tests.conftest import StartServer
from tests.running.answers import statuses
from tests.running.server import OCTETS, meta
from tests.servers.common import free_ports


def test_stock_waitress_serves_the_application(start_server: StartServer, monkeypatch: pytest.MonkeyPatch):
    (port,) = free_ports(1)
    monkeypatch.setattr("tests.running.server.free_ports", lambda count: [port])  # it expands no variables
    waitress = {
        "use": "egg:waitress#main",
        "listen": f"127.0.0.1:{port}",
        "clear_untrusted_proxy_headers": "false",
    }
    server = start_server(server=waitress)
    content = bytes(range(256)) * 4096
    image = server.upload(content, name="plain", is_public="True")
    assert (image["status"], image["size"]) == ("active", len(content))
    assert server.get(f"/images/{image['id']}").body == content
    part = server.get(f"/images/{image['id']}", {"Range": "bytes=1000-1999"})
    assert (part.status, part.body) == (206, content[1000:2000])
    chunked = server.post("/images", {**OCTETS, **meta(name="chunks")}, iter([b"abc", b"def"]))
    assert chunked.image["size"] == 6
    assert server.delete(f"/images/{image['id']}").status == 200
    for foreign in ({"Origin": "http://evil.example"}, {"X-Forwarded-For": "192.0.2.7"}):
        assert server.get("/images", foreign).status == 403, foreign
    rebound = server.speak(b"GET /images HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
    assert statuses(rebound) == [403]
