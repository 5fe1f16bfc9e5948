"""Measure how much longer a caller waits while others attack the server.

Each row starts a server and measures HEAD requests and one upload of a megabyte by one caller, first alone
and then while others attack. The goal is a p99 of HEAD within 3 times its idle p99. The last column is how
long the server takes to end after SIGTERM, during the attack.

`python bench/attacks.py --against CHECKOUT` measures the code of another checkout, run by this environment.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import itertools
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from client import Client
from crowd import meanwhile
from rich.console import Console
from rich.table import Table
from testservers import common

from calotype.identity.token_file import TokenFile
from server import ROOT, Server, change_ini

#: The driver that hangs uses the kit, which is missing in the environment without test dependencies.
_PSERVE = Path(sys.executable).with_name("pserve")
#: Real attackers have their own machines, so here they get the processor last.
_NICENESS = 19
#: Timeout of a measured request in seconds. A slower request counts with this time.
PATIENCE = 60
#: How long the server may take to end, in seconds, before it is killed.
_LAST_PATIENCE = 90
#: Concurrent requests of attackers: more than the server's 16 + 8 threads.
_CROWD = 26
_UPLOAD = bytes(1 << 20)
_GOAL = 3
_PATCH = "application/openstack-images-v2.1-json-patch"
#: A driver that accepts uploads. Its `check` never returns once the file `hang` exists.
_HANGING = """
import os
import threading

from calotype.testing import MemoryStore


class HangingStore(MemoryStore):
    class Options(MemoryStore.Options):
        hang: str

    def check(self):
        if os.path.exists(self.options.hang):
            threading.Event().wait()
"""


class Attacked(Server):
    """A server with the code of a checkout, which may not end by itself."""

    def __init__(self, data_dir: Path, ini: Path, checkout: Path, plugins: Path):
        super().__init__(data_dir, ini)
        sources = [*checkout.glob("*/src"), *checkout.glob("plugins/*/src"), plugins]
        paths = os.pathsep.join(map(str, sources))
        self._env = {**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"}
        self.ended_after = 0.0

    def __enter__(self) -> Attacked:
        self.data_dir.mkdir(parents=True)
        command = [_PSERVE, self._ini, f"http_port={self.port}", f"data_dir={self.data_dir}"]
        with (self.data_dir / "server.log").open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=self._env)
        self._wait()
        return self

    def __exit__(self, *error: object) -> None:
        if self.process.poll() is None:
            self.end()

    def end(self) -> None:
        """End the server with SIGTERM, and return how long that took."""
        began = time.perf_counter()
        self.process.terminate()
        try:
            self.process.wait(_LAST_PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.ended_after = time.perf_counter() - began


@dataclass(frozen=True)
class Tokens:
    """The tokens of all callers, by which the server distinguishes them."""

    attacker: str
    other: str
    path: Path

    @classmethod
    def made(cls, path: Path) -> Tokens:
        """Write new tokens to a file."""
        file = TokenFile(path)
        return cls(*(file.add(name, name, ("admin",)) for name in ("attacker", "other")), path)


@dataclass(frozen=True)
class Scene:
    """The server, the tokens and the images that an attack uses."""

    server: Attacked
    tokens: Tokens
    folder: Path
    image_id: str
    #: A port of this machine where connections are taken, and nothing is said.
    silent: int

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> int:
        """Send a request as the attacker, and return its status, or 0 without a response."""
        fields = {"X-Auth-Token": self.tokens.attacker, "Content-Type": "application/json"}
        fields |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=120)
        with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
            connection.request(method, path, body, fields)
            answer = connection.getresponse()
            answer.read()
            return answer.status
        return 0


def nothing(scene: Scene) -> None:
    """Prepare nothing."""


@dataclass(frozen=True)
class Attack:
    """An attack: `clients` processes repeat `work`, each with its number, after `prepare` was called once."""

    id: str
    title: str
    clients: int
    work: Callable[[Scene, int], object]
    prepare: Callable[[Scene], object] = nothing
    settings: Mapping[str, str] = field(default_factory=dict)


def compute(scene: Scene, number: int) -> None:
    """Send nothing, and only use the processor."""
    sum(range(1_000_000))


def sort_keys(scene: Scene, number: int) -> None:
    """Request a list that is sorted 150 times by one key, after a marker."""
    scene.ask("GET", f"/v2/images?marker={scene.image_id}&sort={','.join(['name:asc'] * 150)}")


def tags(scene: Scene, number: int) -> None:
    """Create an image with 340,000 tags that are not strings."""
    scene.ask("POST", "/v2/images", json.dumps({"tags": [1] * 340_000}))


def begin_to_hang(scene: Scene) -> None:
    """Make the store hang."""
    (scene.folder / "hang").touch()


def readiness(scene: Scene, number: int) -> None:
    """Request /readyz."""
    scene.ask("GET", "/readyz")


def dripping_patch(scene: Scene, number: int) -> None:
    """Send a patch that never ends, a little faster than the 1,024 bytes a second of `min_rate`."""

    def drip() -> Iterator[bytes]:
        yield b"["
        for _ in range(600):
            time.sleep(0.5)
            yield b" " * 600

    scene.ask("PATCH", f"/v2/images/{scene.image_id}", drip(), Content_Type=_PATCH)


def silent_import(scene: Scene, number: int) -> None:
    """Import an image from a server that never answers."""
    connection = http.client.HTTPConnection("127.0.0.1", scene.server.port, timeout=120)
    fields = {"X-Auth-Token": scene.tokens.attacker, "Content-Type": "application/json"}
    with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException, KeyError):
        image = {"name": "x", "disk_format": "raw", "container_format": "bare"}
        connection.request("POST", "/v2/images", json.dumps(image), fields)
        image_id = json.loads(connection.getresponse().read())["id"]
        uri = f"http://127.0.0.1:{scene.silent}/image"
        order = {"method": {"name": "web-download", "uri": uri}}
        scene.ask("POST", f"/v2/images/{image_id}/import", json.dumps(order))


def fill(scene: Scene) -> None:
    """Make a thousand images with eight kilobytes of properties each."""
    fields = {"visibility": "public", **{f"p{number}": "x" * 1000 for number in range(8)}}
    with Client(scene.server) as client:
        for number in range(1000):
            body = json.dumps({"name": f"image {number}", **fields}).encode()
            client.send(
                "POST", "/v2/images", body, Content_Type="application/json", X_Auth_Token=scene.tokens.other
            )


def big_list(scene: Scene, number: int) -> None:
    """Request the longest page of a list."""
    scene.ask("GET", "/v2/images?limit=1000")


ATTACKS = (
    Attack("none", "only a busy machine", _CROWD, compute),
    Attack("D1", "sort keys", _CROWD, sort_keys),
    Attack("D2", "tags", 4, tags),
    Attack("D3", "readyz, a store hangs", _CROWD, readiness, begin_to_hang),
    Attack("D4", "dripping PATCHes", 8, dripping_patch),
    Attack(
        "D5",
        "imports, silent source",
        _CROWD,
        silent_import,
        settings={
            "calotype.external_sources": "everyone",
            "store.http.allowed_networks": "127.0.0.0/8",
            "store.http.ports": "SILENT",
        },
    ),
    Attack("D6", "big lists", 16, big_list, fill),
)


@dataclass(frozen=True)
class Figures:
    """The times of one caller in seconds. `status` is that of the upload, or 0 without a response."""

    p50: float
    p99: float
    requests: int
    upload: float
    status: int


def measure(scene: Scene, seconds: float) -> Figures:
    """Send HEAD requests for this time, and then an upload, as a caller who is not an attacker."""
    taken = sorted(itertools.islice(_heads(scene, seconds), 5000))
    began = time.perf_counter()
    status = _upload(scene)
    return Figures(
        taken[len(taken) // 2],
        taken[min(len(taken) - 1, len(taken) * 99 // 100)],
        len(taken),
        time.perf_counter() - began,
        status,
    )


def _heads(scene: Scene, seconds: float) -> Iterator[float]:
    """Send requests until the time is over, and yield the duration of each in seconds."""
    end = time.perf_counter() + seconds
    connection = None
    while time.perf_counter() < end:
        began = time.perf_counter()
        try:
            if connection is None:
                connection = http.client.HTTPConnection("127.0.0.1", scene.server.port, timeout=PATIENCE)
            fields = {"X-Auth-Token": scene.tokens.other}
            connection.request("HEAD", f"/v2/images/{scene.image_id}", headers=fields)
            connection.getresponse().read()
        except (OSError, http.client.HTTPException):
            connection = None
        yield time.perf_counter() - began


def _upload(scene: Scene) -> int:
    """Upload a streamed body on a new connection, and return the status, or 0 without a response."""
    connection = http.client.HTTPConnection("127.0.0.1", scene.server.port, timeout=PATIENCE)
    fields = {
        "X-Auth-Token": scene.tokens.other,
        "Content-Type": "application/octet-stream",
        "x-image-meta-name": "b",
        "x-image-meta-store": "file",
    }
    with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
        connection.request("POST", "/images", _UPLOAD, fields)
        return connection.getresponse().status
    return 0


def attack(one: Attack, folder: Path, checkout: Path, seconds: float) -> list[str]:
    """Measure an attack, and return its row of the table."""
    plugins, tokens = _write_driver(folder / "plugins"), Tokens.made(folder / "tokens.json")
    with _silent() as port:
        settings = {
            "calotype.identity": "tokens",
            "calotype.tokens_file": str(tokens.path),
            "calotype.stores": "file http hanging",
            "calotype.default_store": "file",
            "store.hanging.hang": str(folder / "hang"),
            **{key: value.replace("SILENT", str(port)) for key, value in one.settings.items()},
        }
        ini = change_ini(folder / "calotype.ini", {"app:main": settings})
        with Attacked(folder / "data", ini, checkout, plugins) as server:
            with Client(server) as client:
                image_id = client.image("POST", "/images", x_image_meta_name="a", X_Auth_Token=tokens.other)[
                    "id"
                ]
            scene = Scene(server, tokens, folder, image_id, port)
            idle = measure(scene, seconds)
            one.prepare(scene)
            with meanwhile(one.clients, lambda number: one.work(scene, number), _NICENESS):
                time.sleep(2)  # until the attack takes effect
                under = measure(scene, seconds)
                server.end()
        return _row(one, idle, under, server.ended_after)


def _row(one: Attack, idle: Figures, under: Figures, ended_after: float) -> list[str]:
    ratio = under.p99 / idle.p99
    return [
        f"{one.id} {one.title}",
        *(f"{seconds * 1000:,.1f}" for seconds in (idle.p50, idle.p99, under.p50, under.p99)),
        f"{ratio:.1f}" + ("" if ratio <= _GOAL else " !"),
        f"{under.status or 'no answer'} {under.upload:.1f} s",
        f"{ended_after:.1f} s" + (" killed" if ended_after >= _LAST_PATIENCE else ""),
    ]


@contextlib.contextmanager
def _silent() -> Iterator[int]:
    """Listen on a port while the block runs, accept connections, and never answer. Yield the port."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        taken: list[socket.socket] = []

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    taken.append(listener.accept()[0])

        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]
        for connection in taken:
            connection.close()


def _write_driver(folder: Path) -> Path:
    information = folder / "bench_hanging-1.0.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: bench-hanging\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("[calotype.stores]\nhanging = hanging_store:HangingStore\n")
    (folder / "hanging_store.py").write_text(_HANGING)
    return folder


def main() -> None:
    """Print a table with a row for each attack."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--against", type=Path, default=ROOT, metavar="CHECKOUT", help="the code to serve")
    parser.add_argument("--only", default="", metavar="D1,D4", help="the attacks to measure; default: all")
    parser.add_argument("--seconds", type=float, default=10, help="how long to send HEAD requests each time")
    given = parser.parse_args()
    wanted = set(filter(None, given.only.split(",")))
    table = Table(title=f"Another caller's requests during attacks on {given.against}", title_justify="left")
    headings = ("attack", "idle p50", "p99", "HEAD p50", "p99 [ms]", "ratio", "upload", "SIGTERM")
    for heading in headings:
        table.add_column(heading, justify="left" if heading == "attack" else "right")
    with common.run_folder() as folder:
        for one in ATTACKS:
            if not wanted or one.id in wanted:
                (folder / one.id).mkdir()
                table.add_row(*attack(one, folder / one.id, given.against.resolve(), given.seconds))
    Console(highlight=False, width=140).print(table)


if __name__ == "__main__":
    main()
