"""The room of a collection, as servers with RFC 4331 report it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from calotype_store_webdav import WebdavStore

from calotype.stores import StoreInfo, Unavailable
from calotype.stores.options import read_options

ANSWER = """<?xml version="1.0" encoding="utf-8"?>
<{0}multistatus xmlns{1}="DAV:"><{0}response><{0}href>/dav/</{0}href><{0}propstat><{0}prop>
{2}
</{0}prop><{0}status>HTTP/1.1 200 OK</{0}status></{0}propstat></{0}response></{0}multistatus>"""


def answer(inner: str, prefix: str = "") -> str:
    return ANSWER.format(f"{prefix}:" if prefix else "", f":{prefix}" if prefix else "", inner)


@pytest.fixture
def serving() -> Iterator[Callable[[int, str], WebdavStore]]:
    """Yield `serving(status, body)`, which returns a store at a server that answers so."""
    servers: list[ThreadingHTTPServer] = []

    def serve(status: int, body: str) -> WebdavStore:
        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                self.send_response(404 if status == 404 else 200)
                self.end_headers()

            def do_PROPFIND(self) -> None:
                asked = self.rfile.read(int(self.headers["Content-Length"]))
                assert b"quota-available-bytes" in asked
                assert self.headers["Depth"] == "0"
                assert self.headers["Content-Type"] == "application/xml"
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/dav"
        return WebdavStore("dav", read_options("dav", WebdavStore.Options, {"url": url}))

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("status", "body", "room"),
    [
        (
            207,
            answer(
                "<quota-available-bytes>596650</quota-available-bytes><quota-used-bytes>403350</quota-used-bytes>"
            ),
            StoreInfo(1_000_000, 596_650),
        ),
        (
            207,
            answer(
                "<D:quota-used-bytes>10</D:quota-used-bytes><D:quota-available-bytes>0</D:quota-available-bytes>",
                "D",
            ),
            StoreInfo(10, 0),
        ),
        (207, answer("<quota-available-bytes>7</quota-available-bytes>"), StoreInfo(None, 7)),
        (207, answer("<quota-available-bytes/><quota-used-bytes/>"), StoreInfo()),
        (207, answer("<quota-available-bytes>-3</quota-available-bytes>"), StoreInfo()),
        (405, "", StoreInfo()),
        (501, "", StoreInfo()),
    ],
)
def test_the_room_is_what_the_server_reports(
    serving: Callable[[int, str], WebdavStore], status: int, body: str, room: StoreInfo
) -> None:
    assert serving(status, body).info() == room


def test_the_size_is_unknown_if_the_server_does_not_send_it(
    serving: Callable[[int, str], WebdavStore],
) -> None:
    assert serving(207, "").size("dav:key.1") is None


def test_the_room_of_a_missing_collection_is_not_known(serving: Callable[[int, str], WebdavStore]) -> None:
    with pytest.raises(Unavailable, match="its collection does not exist"):
        serving(404, "").info()


def test_nginx_reports_no_room(options: dict[str, str]) -> None:
    store = WebdavStore("dav", read_options("dav", WebdavStore.Options, options))
    store.create()

    assert store.info() == StoreInfo()
