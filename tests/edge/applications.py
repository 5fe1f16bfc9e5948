"""A WSGI application for tests: the path says what it does, and it records what it saw."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
MIB = 1 << 20


class Application:
    """An application that serves each path by the method of that name, and / by `ok`."""

    def __init__(self, file: Path | None = None):
        self._file = file
        #: The path of each request that reached it.
        self.paths: list[str] = []
        #: What each read that failed raised.
        self.failures: list[Exception] = []
        self.failed = threading.Event()
        #: Set when a request for /sum or /hold has begun, and when /hold may go on.
        self.begun = threading.Semaphore(0)
        self.go_on = threading.Event()
        #: How many /blocks responses were closed.
        self.closed = threading.Semaphore(0)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        token = environ.get("HTTP_X_AUTH_TOKEN", "invented")
        if not token.startswith("invented"):
            environ.get("calotype_server.set_caller", print)(token)
        self.paths.append(path)
        query = {name: int(values[-1]) for name, values in parse_qs(environ["QUERY_STRING"]).items()}
        return getattr(self, path.strip("/") or "ok")(environ, start_response, **query)

    def ok(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer briefly, without reading the body."""
        return self._answer(start_response, "200 OK", b"ok")

    def refuse(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Refuse the request, without reading the body."""
        return self._answer(start_response, "409 Conflict", b"no")

    def sum(self, environ: Environ, start_response: StartResponse, block: int = MIB) -> Iterable[bytes]:
        """Read the body, and describe it."""
        self.begun.release()
        digest, size = hashlib.sha256(), 0
        try:
            while read := environ["wsgi.input"].read(block):
                digest.update(read)
                size += len(read)
        except OSError as error:
            self.failures.append(error)
            self.failed.set()
            return self._answer(start_response, "400 Bad Request", type(error).__name__.encode())
        seen = {
            "size": size,
            "sha256": digest.hexdigest(),
            "length": environ.get("CONTENT_LENGTH"),
            "encoding": environ.get("HTTP_TRANSFER_ENCODING"),
            "terminated": environ["wsgi.input_terminated"],
        }
        return self._answer(start_response, "200 OK", json.dumps(seen).encode())

    def lines(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Read the body line by line, as WSGI allows."""
        lines = [environ["wsgi.input"].readline(), *environ["wsgi.input"]]
        return self._answer(start_response, "200 OK", json.dumps([line.decode() for line in lines]).encode())

    def careless(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Read the body, without handling exceptions."""
        return self._answer(start_response, "200 OK", str(len(environ["wsgi.input"].read())).encode())

    def document(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Declare the body a document, and read it without handling exceptions."""
        environ["calotype_server.expect_document"]()
        self.begun.release()
        return self.careless(environ, start_response)

    def hold(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Read the body, then wait until the test says so."""
        self.begun.release()
        size = len(environ["wsgi.input"].read())
        assert self.go_on.wait(30)
        return self._answer(start_response, "200 OK", str(size).encode())

    def stall(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Do the same as `hold`, but release the worker, as a service does while its store hangs."""
        with environ["calotype_server.release_worker"]():
            return self.hold(environ, start_response)

    def late(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Wait until the test says so, then read the body."""
        self.begun.release()
        assert self.go_on.wait(30)
        size = len(environ["wsgi.input"].read())
        return self._answer(start_response, "200 OK", str(size).encode())

    def file(self, environ: Environ, start_response: StartResponse, **query: int) -> Iterable[bytes]:
        """Send the file from a position, as many bytes as requested."""
        assert self._file is not None
        at = query.get("at", 0)
        length = query.get("length", self._file.stat().st_size - at)
        start_response("200 OK", [("Content-Length", str(length))])
        if environ["REQUEST_METHOD"] == "HEAD":
            return []
        file = self._file.open("rb")
        file.seek(at)
        return environ["wsgi.file_wrapper"](file, MIB)

    def unmeasured(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Send no length and no body."""
        start_response("200 OK", [("X-Content-Length", "0")])
        return []

    def blocks(self, environ: Environ, start_response: StartResponse, count: int = 100) -> Iterable[bytes]:
        """Send so many blocks of 1 MiB, made one by one."""
        start_response("200 OK", [("Content-Length", str(count * MIB))])
        if environ["REQUEST_METHOD"] == "HEAD":
            return []
        return self._blocks(count)

    def _blocks(self, count: int) -> Iterable[bytes]:
        try:
            for _ in range(count):
                yield b"x" * MIB
        finally:
            self.closed.release()

    def pieces(self, environ: Environ, start_response: StartResponse, size: int) -> Iterable[bytes]:
        """Send the file in blocks of `size` bytes and of 100 bytes in turn."""
        assert self._file is not None
        content = self._file.read_bytes()
        start_response("200 OK", [("Content-Length", str(len(content)))])
        for start in range(0, len(content), size + 100):
            yield content[start : start + size]
            yield content[start + size : start + size + 100]

    @staticmethod
    def _answer(start_response: StartResponse, status: str, body: bytes) -> Iterable[bytes]:
        start_response(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
        return [body]
