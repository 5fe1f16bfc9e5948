"""Attacks by callers with valid tokens: the server under attack, and the work of each attacker."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from calotype.identity.token_file import TokenFile
from client import Client
from server import Server

#: The driver that hangs uses the kit, which is missing in the environment without test dependencies.
_PSERVE = Path(sys.executable).with_name("pserve")
#: How long the server may take to end, in seconds, before it is killed.
LAST_PATIENCE = 90
#: Concurrent requests of attackers: more than the server's 16 + 8 threads.
_CROWD = 26
_PATCH = "application/openstack-images-v2.1-json-patch"


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
            self.process.wait(LAST_PATIENCE)
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
