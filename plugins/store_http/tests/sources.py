"""Web servers on the loopback address: one that answers as a test says, and the standard library's own."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer

from calotype.testing import pattern


class Server(ThreadingHTTPServer):
    """A threaded web server on a free loopback port, from `with` to its end, that leaves no thread."""

    daemon_threads = False

    def __init__(self, handler: type[BaseHTTPRequestHandler]):
        super().__init__(("127.0.0.1", 0), handler)
        self.port = self.server_address[1]
        self._thread = threading.Thread(target=self.serve_forever, args=[0.01])

    def __enter__(self) -> Server:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()

    def url(self, path: str) -> str:
        """The URL of a path here."""
        return f"http://127.0.0.1:{self.port}{path}"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is no error here."""


class Script(Server):
    """A source whose every request is answered by `page(handler)`; `requests` keeps their headers."""

    def __init__(self) -> None:
        script = self
        self.requests: list[dict[str, str]] = []
        self.page: Callable[[BaseHTTPRequestHandler], None] = reply(404)

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                script.requests.append(dict(self.headers))
                with contextlib.suppress(ConnectionError):
                    script.page(self)

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(Handler)


def reply(status: int = 200, body: bytes = b"", **headers: str | None):
    """A page with this status, body and headers (`_` for `-`; Content-Length unless given; None: none)."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    def page(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **named}.items():
            if value is not None:
                handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    return page


def raw(head: str, body: bytes = b""):
    """A page that writes this head and body as they are, and closes."""

    def page(handler: BaseHTTPRequestHandler) -> None:
        handler.close_connection = True
        handler.wfile.write(head.replace("\n", "\r\n").encode() + b"\r\n" + body)

    return page


def in_turn(*pages):
    """A page that is each of these in turn, and the last from then on."""
    left = list(pages)

    def page(handler: BaseHTTPRequestHandler) -> None:
        (left.pop(0) if len(left) > 1 else left[0])(handler)

    return page


class Plain(SimpleHTTPRequestHandler):
    """The standard library's own file server: no ranges, no ETag, no conditions."""

    directory: str

    def __init__(self, *args: object, **kwargs: object):
        super().__init__(*args, directory=self.directory, **kwargs)

    def log_message(self, *_: object) -> None:
        """Keep the tests' output quiet."""


DATA = pattern(300_000)


DATE = "Tue, 01 Sep 2026 10:00:00 GMT"


def serve(data: bytes = DATA, etag: str | None = '"v1"', modified: str | None = None, ranges: bool = True):
    """A page like a good server's: ranges, and a strong ETag that it only tells and does not enforce."""

    def page(handler):
        headers = {"ETag": etag, "Last-Modified": modified}
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", handler.headers.get("Range", "")) if ranges else None
        if wanted is None:
            return reply(200, data, **headers)(handler)
        first, last = int(wanted[1]), min(int(wanted[2] or len(data)), len(data) - 1)
        if first >= len(data):
            return reply(416, Content_Range=f"bytes */{len(data)}")(handler)
        shown = f"bytes {first}-{last}/{len(data)}"
        return reply(206, data[first : last + 1], Content_Range=shown, **headers)(handler)

    return page


def cut(page, after: int):
    """That page, whose connection ends after so many bytes of the body."""

    class Short:
        def __init__(self, file):
            self.file, self.left = file, after

        def write(self, data):
            if not data.startswith(b"HTTP/"):
                data, self.left = data[: self.left], self.left - len(data)
            self.file.write(data)

    def short(handler):
        file, handler.close_connection = handler.wfile, True
        handler.wfile = Short(file)
        try:
            page(handler)
        finally:
            handler.wfile = file

    return short
