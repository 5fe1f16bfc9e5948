"""A Calotype server in its own process, as `pserve INI name=value` starts it."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from sqlalchemy import NullPool, create_engine, text

from calotype.stores.contract import MARKER_KEY
from tests.servers.common import free_ports
from tests.support.answers import Answer, read_answer
from tests.support.database import KIND, make_database
from tests.support.forked import Forked, may_fork, start_pserve
from tests.support.ini import INI, ROOT, change_ini
from tests.support.waiting import wait_for
from tests.support.wire import read_to_end

OCTETS = {"Content-Type": "application/octet-stream"}
#: Headers whose values must not appear in any response or log. Every request here has at least one of them.
_SECRET_HEADERS = ("x-auth-token", "x-service-token", "authorization", "cookie")
_COOKIE = "session=canary-91d2f07c55"
#: Shorter secrets may occur in responses by chance.
_SECRET_MIN = 16
#: The name of a blob's file: the image's id, and a random part for the upload attempt.
_BLOB = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.[0-9a-f]{12}")

#: Other files in a file store's directory: the driver's own marker and the core's.
_MARKERS = (".calotype-store", MARKER_KEY)


class StartFailed(Exception):
    """The server ended before it answered; the text is its output."""


def write_ini(
    folder: Path, app: Mapping[str, str] | None = None, server: Mapping[str, str] | None = None
) -> Path:
    """Write calotype.ini into the folder with these settings of the application and of the server."""
    return change_ini(folder / "test.ini", {"app:main": app or {}, "server:main": server or {}})


def meta(**fields: str) -> dict[str, str]:
    """Return meta headers as clients write them: `is_public="True"`, `property_os="linux"`."""
    return {
        "x-image-meta-" + (f"property-{n.removeprefix('property_')}" if n.startswith("property_") else n): v
        for n, v in fields.items()
    }


class Server:
    """A running server: its port, its data, its log, and methods that send requests to it."""

    def __init__(
        self,
        folder: Path,
        ini: Path = INI,
        data_dir: Path | None = None,
        env: Mapping[str, str] | None = None,
        python: Path | None = None,
        within: Iterable[str] = (),
    ):
        """Start a server. Its command line begins with `within`, for example to enter a namespace."""
        folder.mkdir(parents=True, exist_ok=True)
        self.ini = ini
        self.data_dir = data_dir or folder / "data"
        self.log_path = folder / "server.log"
        self.database_url = make_database(self.data_dir)
        self._env = dict(env or {})
        self._within = list(within)
        self._secrets: set[str] = set()
        self._python = python
        self.start()

    # -- start and end

    def start(self) -> None:
        """Start the server on a new port, and return when it answers.

        Raises:
            StartFailed: the server ended, or did not answer in time.
        """
        (self.port,) = free_ports(1)
        self._logged_from = self.log_path.stat().st_size if self.log_path.exists() else 0
        self.process = self._spawn([self.ini, f"http_port={self.port}", *self.variables])
        self._wait()

    @property
    def variables(self) -> list[str]:
        """The arguments that set the ini file's variables, so that commands use the data of this server."""
        data_dir = f"data_dir={self.data_dir}"
        # SQLite's file is below data_dir anyway, and an ini file may name a database of its own.
        return [data_dir] if KIND == "sqlite" else [data_dir, f"database_url={self.database_url}"]

    def _spawn(self, arguments: list[str | Path]) -> subprocess.Popen[bytes] | Forked:
        if may_fork(self._env) and not (self._within or self._python):
            return start_pserve(arguments, self.log_path, ROOT, self._env)
        pserve = Path(self._python or sys.executable).with_name("pserve")
        with self.log_path.open("ab") as log:
            return subprocess.Popen(
                [*self._within, pserve, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **self._env},
            )

    def _wait(self) -> None:
        end = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError):
                self.get("/versions")
                return
            if self.process.poll() is not None or time.monotonic() > end:
                self.kill()
                raise StartFailed(self.log[self._logged_from :])
            time.sleep(0.02)

    def stop(self) -> int:
        """End the server as an operator does, and return its exit status."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kill the server."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> int:
        if self.process.poll() is None:
            self.process.send_signal(how)
        status = self.process.wait(timeout=30)
        log = self.log
        assert [secret for secret in self._secrets if secret in log] == [], "the log contains a secret"
        return status

    # -- log, database and files

    @property
    def base(self) -> str:
        """Return the URL of the server, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """Return the whole log."""
        return self.log_path.read_text(errors="replace")

    def log_lines(self, request_id: str) -> list[str]:
        """Return the lines of the log with this request id.

        Waits for the access line, which is written after the response.
        """
        return wait_for(
            lambda: [line for line in self.log.splitlines() if request_id in line],
            lambda lines: any("calotype.access" in line for line in lines),
            seconds=10,
            pause=0.01,
        )

    def query(self, statement: str, *values: str) -> list[tuple]:
        """Return rows of the database. Each `?` stands for a value."""
        return self._run(statement, values)

    def execute(self, statement: str, *values: str) -> None:
        """Change the database directly, without the server."""
        self._run(statement, values)

    def _run(self, statement: str, values: tuple[str, ...]) -> list[tuple]:
        names = [f"value{number}" for number in range(len(values))]
        # "key" is a keyword of MariaDB, which accepts the quotes of the SQL standard only in this mode.
        arguments = {"sql_mode": "ANSI_QUOTES"} if self.database_url.startswith("mysql") else {}
        engine = create_engine(self.database_url, poolclass=NullPool, connect_args=arguments)
        with engine.begin() as connection:
            named = statement.replace("?", "{}").format(*(f":{name}" for name in names))
            result = connection.execute(text(named), dict(zip(names, values, strict=True)))
            return [tuple(row) for row in result] if result.returns_rows else []

    def blobs(self, image_id: str = "", store: str = "images") -> list[Path]:
        """Return the files with bytes of this image, or of any image, in a file store."""
        return [
            path
            for path in (self.data_dir / store).rglob("*")
            if path.is_file() and _BLOB.fullmatch(path.name) and path.name.startswith(image_id)
        ]

    def leftovers(self, store: str = "images") -> list[Path]:
        """Return the files in a file store that are neither blobs nor markers, such as parts of uploads.

        The parts of open upload sessions are not among them.
        """
        partial = self.query("""SELECT "key" FROM image_locations WHERE state = 'partial'""")
        open_keys = {key for (key,) in partial}
        return [
            path
            for path in (self.data_dir / store).rglob("*")
            if path.is_file()
            and not _BLOB.fullmatch(path.name)
            and path.name not in _MARKERS
            and path.name.removeprefix(".incoming-").partition("~")[0] not in open_keys
        ]

    def memory(self, kind: str = "VmRSS") -> int:
        """Return the memory of the process in bytes: resident, or with VmPeak, its largest address space."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"{kind}:\s+(\d+) kB", status)[1]) * 1024

    # -- requests

    def connect(self) -> http.client.HTTPConnection:
        """Return a connection to the server, which the caller closes."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def request(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str | bytes] | Iterable[tuple[str, str | bytes]] | None = None,
        body: bytes | Iterable[bytes] | None = None,
    ) -> Answer:
        """Send a request on a new connection. An iterable body is sent in chunks."""
        fields = list(headers.items()) if isinstance(headers, Mapping) else list(headers or ())
        if not any(name.lower() == "cookie" for name, _ in fields):
            fields.append(("Cookie", _COOKIE))
        self._remember_secrets(fields)
        with contextlib.closing(self.connect()) as connection:
            connection.connect()  # outside the block below, which ignores the errors of a refused body
            connection.putrequest(method, path)
            for name, value in fields:
                connection.putheader(name, value)
            if isinstance(body, bytes):
                connection.putheader("Content-Length", str(len(body)))
            elif body is not None:
                connection.putheader("Transfer-Encoding", "chunked")
            elif method in ("POST", "PUT"):
                connection.putheader("Content-Length", "0")
            chunked = body is not None and not isinstance(body, bytes)
            with contextlib.suppress(
                BrokenPipeError, ConnectionResetError
            ):  # the server refused the body early
                connection.endheaders(body, encode_chunked=chunked)
            return self._without_secrets(read_answer(connection.getresponse()))

    def _remember_secrets(self, fields: Iterable[tuple[str, str | bytes]]) -> None:
        for name, value in fields:
            text = value.decode("latin-1") if isinstance(value, bytes) else value
            if name.lower() in _SECRET_HEADERS and len(text) >= _SECRET_MIN:
                self._secrets.add(text)

    def _without_secrets(self, answer: Answer) -> Answer:
        """Check that the response contains no secret of any request, and return it."""
        told = f"{answer.headers}".encode("utf-8", "replace") + answer.body
        found = [secret for secret in self._secrets if secret.encode() in told]
        assert found == [], "a response contains a secret"
        return answer

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        """Send a GET request."""
        return self.request("GET", path, headers)

    def readyz(self, wanted: Callable[[Answer], bool]) -> Answer:
        """Wait until `wanted` accepts the response of /readyz, and return the response.

        /readyz reports the result of the last probe, so changes appear after a while.
        """
        return wait_for(lambda: self.get("/readyz"), wanted, seconds=20)

    def head(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        """Send a HEAD request."""
        return self.request("HEAD", path, headers)

    def post(
        self,
        path: str = "/images",
        headers: Mapping[str, str] | None = None,
        body: bytes | Iterable[bytes] | None = None,
    ) -> Answer:
        """Send a POST request."""
        return self.request("POST", path, headers, body)

    def put(
        self, path: str, headers: Mapping[str, str] | None = None, body: bytes | Iterable[bytes] | None = None
    ) -> Answer:
        """Send a PUT request."""
        return self.request("PUT", path, headers, body)

    def delete(self, path: str) -> Answer:
        """Send a DELETE request."""
        return self.request("DELETE", path)

    def reserve(self, **fields: str) -> dict:
        """Reserve an image by the classic API and return its record."""
        return self.post("/images", meta(**fields)).image

    def upload(self, body: bytes, **fields: str) -> dict:
        """Store an image by one request of the classic API and return its record."""
        return self.post("/images", {**OCTETS, **meta(**fields)}, body).image

    def speak(self, sent: bytes, *, hang_up: bool = False, seconds: float = 15) -> bytes:
        """Send raw bytes, and return everything that arrives until the server closes.

        With `hang_up`, shut down the sending side after that, like a client that dies.

        Raises:
            TimeoutError: the server neither answered nor closed the connection.
        """
        with socket.create_connection(("127.0.0.1", self.port), timeout=seconds) as connection:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(sent)
                if hang_up:
                    connection.shutdown(socket.SHUT_WR)
            return read_to_end(connection)
