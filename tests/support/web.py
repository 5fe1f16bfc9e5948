"""A web server from which images are fetched, and its pages.

A page is a function of the request's handler that writes the whole response. Tests use the functions below,
or their own.
"""

from __future__ import annotations

import contextlib
import hashlib
import socket
import ssl
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

Page = Callable[[BaseHTTPRequestHandler], None]


class Web(ThreadingHTTPServer):
    """A web server on a free loopback port, which runs for a `with` block.

    `pages` has the page of each path. For any other path, the server sends a file of `folder` over HTTP/1.0,
    as the standard library does. If there is no folder, `page` answers over HTTP/1.1.
    """

    daemon_threads = False

    def __init__(
        self,
        pages: Mapping[str, Page] | None = None,
        tls: ssl.SSLContext | None = None,
        folder: Path | None = None,
    ):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.port: int = self.server_address[1]
        self.pages = dict(pages or {})
        self.page: Page = reply(404)
        self.tls = tls
        self.folder = folder
        #: The path and the headers of each request, in order of arrival.
        self.paths: list[str] = []
        self.requests: list[dict[str, str]] = []
        self.connections = 0
        self._closed = socket.socket()
        self._closed.bind(("127.0.0.1", 0))
        #: A port on which no server listens, as long as this server runs.
        self.closed: int = self._closed.getsockname()[1]
        self._thread = threading.Thread(target=self.serve_forever, args=[0.01])

    def __enter__(self) -> Web:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for page in self.pages.values():
            if isinstance(page, Halves) and page.gate is not None:
                page.gate.set()
        self.shutdown()
        self._thread.join()
        self.server_close()
        self._closed.close()

    def url(self, path: str = "/", host: str = "127.0.0.1") -> str:
        """Return the URL of a path on this server."""
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}{path}"

    def answer(self, page: Page, suffix: str = "") -> str:
        """Let the page answer a new path, which ends with `suffix`, and return its URL."""
        path = f"/{uuid.uuid4()}{suffix}"
        self.pages[path] = page
        return self.url(path)

    def place(self, data: bytes) -> str:
        """Put a file with these bytes into the folder and return its URL."""
        assert self.folder is not None
        name = str(uuid.uuid4())
        (self.folder / name).write_bytes(data)
        return self.url(f"/{name}")

    def remove(self, url: str) -> None:
        """Remove the page at a URL, which then gets 404."""
        del self.pages[url.removeprefix(self.url(""))]

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection and count it."""
        accepted = super().get_request()
        self.connections += 1
        return accepted

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection, over TLS if there is a context for it."""
        if self.tls:
            try:
                request = self.tls.wrap_socket(request, server_side=True)
            except OSError:
                return
        with request:
            super().finish_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that close the connection early."""


class _Handler(SimpleHTTPRequestHandler):
    server: Web
    #: Timeout for a silent client in seconds, so that no thread outlives the tests.
    timeout = 60

    def __init__(self, request: Any, client_address: Any, server: Web):
        self.protocol_version = "HTTP/1.0" if server.folder else "HTTP/1.1"
        super().__init__(request, client_address, server, directory=server.folder)

    def do_GET(self) -> None:
        self._answer(super().do_GET)

    def do_HEAD(self) -> None:
        self._answer(super().do_HEAD)

    def _answer(self, send_file: Callable[[], None]) -> None:
        web = self.server
        web.paths.append(self.path)
        web.requests.append(dict(self.headers))
        page = web.pages.get(self.path) or web.pages.get(self.path.partition("?")[0])
        with contextlib.suppress(ConnectionError):
            if page is not None:
                page(self)
            elif web.folder is not None:
                send_file()
            else:
                web.page(self)

    def log_message(self, *_: object) -> None:
        """Print nothing, so that the output of tests stays short."""


def reply(status: int = 200, body: bytes = b"", **headers: str | None) -> Page:
    """Make a page with this status, body and headers.

    `_` in a header's name stands for `-`. Content-Length is that of the body unless it is given. A header
    whose value is None is left out.
    """
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    def page(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **named}.items():
            if value is not None:
                handler.send_header(name, value)
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(body)

    return page


def redirect(location: str, status: int = 302) -> Page:
    """Make a page that redirects."""
    return reply(status, Location=location)


def raw(head: str, body: bytes = b"") -> Page:
    """Make a page that writes this head and body, and closes. Lines of `head` end with `\\n` here."""
    return verbatim(head.replace("\n", "\r\n").encode() + b"\r\n" + body)


def verbatim(*pieces: bytes, pause: float = 0.0, forever: bool = False) -> Page:
    """Make a page that writes the pieces and closes, or repeats the last one until it is cut off."""

    def page(handler: BaseHTTPRequestHandler) -> None:
        handler.close_connection = True
        for piece in pieces:
            handler.wfile.write(piece)
        while forever:
            time.sleep(pause)
            handler.wfile.write(pieces[-1])

    return page


def in_turn(*pages: Page) -> Page:
    """Make a page that answers with each of these pages in turn, and then always with the last one."""
    left = list(pages)

    def page(handler: BaseHTTPRequestHandler) -> None:
        (left.pop(0) if len(left) > 1 else left[0])(handler)

    return page


@dataclass
class Halves:
    """A page that sends its bytes in two halves.

    The second half waits for `gate` if there is one, and never comes if the page is `broken`. `begun` is set
    when the first half has been sent.
    """

    data: bytes
    gate: threading.Event | None = None
    broken: bool = False
    begun: threading.Event = field(default_factory=threading.Event)

    def __call__(self, handler: BaseHTTPRequestHandler) -> None:
        handler.close_connection = True
        half = len(self.data) // 2
        reply(
            200,
            self.data[:half],
            Content_Length=str(len(self.data)),
            ETag=f'"{hashlib.md5(self.data).hexdigest()}"',
        )(handler)
        if handler.command == "HEAD":
            return
        handler.wfile.flush()
        self.begun.set()
        if self.gate is not None:
            self.gate.wait(60)
        if not self.broken:
            handler.wfile.write(self.data[half:])
