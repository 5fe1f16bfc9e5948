"""A web server with image bytes on it, which can be told to hold an answer back or to break off."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass
class Served:
    """Bytes under a URL. `gate`: the second half waits for it. `broken`: the answer ends half way."""

    data: bytes
    gate: threading.Event | None = None
    broken: bool = False
    begun: threading.Event = field(default_factory=threading.Event)


class Source:
    """The server's content, path by path."""

    def __init__(self, port: int):
        self.port = port
        self.served: dict[str, Served] = {}

    def place(self, served: Served, suffix: str = "") -> str:
        """Put bytes there, and return their URL."""
        path = f"/{uuid.uuid4().hex}{suffix}"
        self.served[path] = served
        return f"http://127.0.0.1:{self.port}{path}"

    def remove(self, url: str) -> None:
        """Take bytes away again."""
        del self.served[url.removeprefix(f"http://127.0.0.1:{self.port}")]


@contextlib.contextmanager
def serving() -> Iterator[Source]:
    """A source that runs until the block is left."""

    class Handler(http.server.BaseHTTPRequestHandler):
        """Answers with what the source holds."""

        def do_HEAD(self) -> None:
            """The headers alone."""
            self._begin()

        def do_GET(self) -> None:
            """The bytes, as the source was told to send them."""
            served = self._begin()
            if served is None:
                return
            half = len(served.data) // 2
            with contextlib.suppress(ConnectionError):
                self.wfile.write(served.data[:half])
                self.wfile.flush()
                served.begun.set()
                if served.gate is not None:
                    served.gate.wait(60)
                if not served.broken:
                    self.wfile.write(served.data[half:])
            self.close_connection = True

        def _begin(self) -> Served | None:
            served = source.served.get(self.path)
            if served is None:
                self.send_error(404)
                return None
            self.send_response(200)
            self.send_header("Content-Length", str(len(served.data)))
            self.send_header("ETag", f'"{hashlib.md5(served.data).hexdigest()}"')
            self.end_headers()
            return served

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as web:
        web.daemon_threads = True
        source = Source(web.server_port)
        thread = threading.Thread(target=web.serve_forever)
        thread.start()
        try:
            yield source
        finally:
            for served in source.served.values():
                if served.gate is not None:
                    served.gate.set()
            web.shutdown()
            thread.join()
