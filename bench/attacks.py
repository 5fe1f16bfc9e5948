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
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from crowd import meanwhile
from hostile import ATTACKS, LAST_PATIENCE, Attack, Attacked, Scene, Tokens
from rich.console import Console
from rich.table import Table
from testservers import common

from client import Client
from server import ROOT, change_ini

#: Real attackers have their own machines, so here they get the processor last.
_NICENESS = 19
#: Timeout of a measured request in seconds. A slower request counts with this time.
PATIENCE = 60
_UPLOAD = bytes(1 << 20)
_GOAL = 3
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
        f"{ended_after:.1f} s" + (" killed" if ended_after >= LAST_PATIENCE else ""),
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
