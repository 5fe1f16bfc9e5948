"""A server of several processes, started as a program of its own, and requests to it."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from tests.servers.common import free_ports
from tests.support.waiting import wait_for
from tests.support.wire import PATIENCE

_NUMBERS = itertools.count()
PROGRAM = """
import json, logging, os, sys, threading, time
from pathlib import Path
from calotype_server import ServerError, ServerSettings, serve

folder = Path(sys.argv[1]).parent
settings = json.loads(Path(sys.argv[1]).read_text())
word, has_thread = settings.pop("word", ""), settings.pop("has_thread", False)
(folder / f"read-{os.getpid()}").touch()
time.sleep(settings.pop("loads_for", 0))


class Application:
    @property
    def calotype_server(self):
        return self

    def start_serving(self):
        if (folder / "dies").exists():
            os._exit(3)

    def __call__(self, environ, start_response):
        path = environ["PATH_INFO"].strip("/")
        if path in ("hold", "hang"):
            (folder / f"holds-{environ['QUERY_STRING']}").write_text(str(os.getpid()))
        while path == "hang" or (path == "hold" and not (folder / "go").exists()):
            time.sleep(0.01)
        size = len(environ["wsgi.input"].read())
        body = json.dumps({"pid": os.getpid(), "size": size, "word": word}).encode()
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]


logging.basicConfig(level=logging.INFO, format="%(process)d %(levelname)s %(message)s")
if has_thread:
    threading.Thread(target=time.sleep, args=[600], name="mine", daemon=True).start()
try:
    serve(Application(), ServerSettings(**settings))
except ServerError as error:
    sys.exit(f"cannot start: {error}")
"""


class Service:
    """A running server. Its settings are in a file, which it reads again when it reloads."""

    def __init__(
        self,
        folder: Path,
        env: dict[str, str] | None = None,
        as_script: bool = False,
        **settings: Any,
    ):
        """Start it with these settings; `processes` is 2. With `as_script`, the program itself is started."""
        (self.port,) = free_ports(1)
        self.folder = folder
        self._log = folder / "log"
        self._settings = {"listen": f"127.0.0.1:{self.port}", "processes": 2, **settings}
        self.configure()
        program = folder / "program.py"
        program.write_text(f"#!{sys.executable}\n{PROGRAM}")
        program.chmod(0o755 if as_script else 0o644)
        command = [program] if as_script else [sys.executable, program]
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, folder / "settings"],
                # A supervisor that a test kills leaves its temporary directory behind.
                env={**os.environ, "TMPDIR": str(folder), **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def configure(self, **settings: Any) -> None:
        """Change settings in the file."""
        self._settings |= settings
        (self.folder / "settings").write_text(json.dumps(self._settings))

    @property
    def log(self) -> str:
        """The whole log."""
        return self._log.read_text()

    def await_log(self, text: str, count: int = 1) -> None:
        """Return when the log contains the text so many times."""
        wait_for(lambda: self.log, lambda log: log.count(text) >= count)

    def await_file(self, pattern: str) -> Path:
        """Return the file with this pattern when the application has made one."""
        return wait_for(lambda: list(self.folder.glob(pattern)))[0]

    def ready(self) -> Service:
        """Return this service when all of its processes serve."""
        self.await_log("processes serve")
        return self

    @property
    def pids(self) -> set[int]:
        """The ids of the processes that it has started and that have not ended."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return {int(pid) for pid in children.split()}

    def connection(self) -> AbstractContextManager[http.client.HTTPConnection]:
        """Return a connection, to be used in a `with` statement."""
        return connected(self.port)

    def get(self, path: str = "/", body: bytes | None = None) -> dict[str, Any]:
        """Return the response to a request on a connection of its own."""
        with self.connection() as connection:
            return get(connection, path, body)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process that was started first."""
        self.process.send_signal(number)

    def stop(self) -> int:
        """End it with SIGTERM, and return its exit status."""
        self.signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)

    def go_on(self) -> None:
        """Let the requests that the application holds go on."""
        (self.folder / "go").touch()

    def kill(self) -> None:
        """End everything at once."""
        with contextlib.suppress(OSError):
            for pid in self.pids:
                os.kill(pid, signal.SIGKILL)
        self.process.kill()
        self.process.wait(PATIENCE)


def connected(port: int) -> AbstractContextManager[http.client.HTTPConnection]:
    """Return a connection, to be used in a `with` statement."""
    return contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE))


def get(connection: http.client.HTTPConnection, path: str = "/", body: bytes | None = None) -> dict[str, Any]:
    """Send a request, and return the response."""
    connection.request("GET" if body is None else "POST", path, body)
    response = connection.getresponse()
    read = response.read()
    assert response.status == 200, read
    found: dict[str, Any] = json.loads(read)
    return found


StartService = Callable[..., Service]


class Held:
    """A request that the application holds back."""

    def __init__(self, service: Service, path: str):
        self._found: int | str = "nothing"
        name = str(next(_NUMBERS))
        self._thread = threading.Thread(target=self._send, args=[service, f"{path}?{name}"])
        self._thread.start()
        #: The process that runs it.
        self.pid = int(wait_for(lambda: service.folder / f"holds-{name}", has_text).read_text())

    def _send(self, service: Service, path: str) -> None:
        try:
            self._found = service.get(path)["pid"]
        except (OSError, http.client.HTTPException):
            self._found = "lost"

    def outcome(self) -> int | str:
        """Wait for the response, and return the process that it is from, or "lost" if there is none."""
        self._thread.join(PATIENCE)
        return self._found


def hold(service: Service, path: str = "/hold") -> Held:
    """Send a request that the application holds back until `go_on`, or for ever."""
    return Held(service, path)


def has_text(path: Path) -> bool:
    """Return whether a file exists and has text."""
    return path.exists() and bool(path.read_text())


def refuses(service: Service) -> bool:
    """Return whether nothing listens at the address of the service."""
    try:
        with socket.create_connection(("127.0.0.1", service.port), timeout=PATIENCE):
            return False
    except ConnectionRefusedError:
        return True


def runs(pid: int) -> bool:
    """Return whether a process runs; a zombie does not."""
    return state_of(pid) not in (None, "Z")


def state_of(pid: int) -> str | None:
    """Return the state of a process, such as "T" if it was stopped; None if there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return None


class Load:
    """Clients that send requests all the time. Half of them open a connection for each request."""

    def __init__(self, port: int, path: str = "/", clients: int = 8):
        self._port = port
        self._path = path
        self._ended = threading.Event()
        #: What failed, and the responses.
        self.failures: list[Exception] = []
        self.responses: list[dict] = []
        self._threads = [
            threading.Thread(target=self._send, args=[number % 2 == 0]) for number in range(clients)
        ]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _send(self, keeps: bool) -> None:
        while not self._ended.is_set():
            try:
                with connected(self._port) as connection:
                    self.responses.append(get(connection, self._path))
                    while keeps and not self._ended.wait(0.002):
                        self.responses.append(get(connection, self._path))
            except Exception as error:
                self.failures.append(error)
            self._ended.wait(0.002)

    def await_more(self, count: int = 200) -> None:
        """Return after so many further responses."""
        until = len(self.responses) + count
        wait_for(lambda: len(self.responses) >= until)
