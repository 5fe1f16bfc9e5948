"""Measure the scrubber with its defaults: its processor time, and its effect on other requests.

Two servers have the same images. One scrubs its copies, and the scrubber of the other is switched off. They
get requests for metadata in turn, so that other load on the machine affects both. Then both are left idle.
"""

from __future__ import annotations

import argparse
import sqlite3
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles

from client import Client
from server import Server, change_ini

#: The time at which the images are said to be stored. It is long ago, so that every copy is due.
_LONG_AGO = "2020-01-01 00:00:00.000000"


@dataclass(frozen=True)
class Kind:
    """A measured server: the name of its row, and its setting."""

    name: str
    scrub: str


KINDS = (Kind("scrubber on", "true"), Kind("scrubber off", "false"))


def prepare(folder: Path, kind: Kind, images: int, size: int) -> Path:
    """Store the images, make all copies due, and return the ini file of the server."""
    folder.mkdir(parents=True)
    ini = change_ini(folder / "bench.ini", {"app:main": {"store.file.scrub": kind.scrub}})
    with Server(folder / "data", ini) as server, Client(server) as client:
        for number in range(images):
            body = number.to_bytes(8) + bytes(size - 8)
            client.ask("POST", "/images", body, Content_Type="application/octet-stream")
    with sqlite3.connect(folder / "data" / "calotype.sqlite") as database:
        database.execute("UPDATE image_locations SET created_at = ?", (_LONG_AGO,))
    return ini


def ask(client: Client, count: int) -> list[float]:
    """Send this many requests, and return the duration of each in milliseconds."""
    taken = []
    for _ in range(count):
        began = time.perf_counter()
        client.ask("GET", "/versions")
        client.ask("GET", "/v2/images?limit=1")
        taken.append((time.perf_counter() - began) * 1000)
    return taken


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=3, help="images in each server (3)")
    parser.add_argument("--size", type=int, default=128, metavar="MIB", help="size of each (128)")
    parser.add_argument("--rounds", type=int, default=20, help="turns of each server (20)")
    parser.add_argument("--asked", type=int, default=200, help="pairs of requests in a turn (200)")
    parser.add_argument("--idle", type=float, default=30, help="seconds to leave both alone (30)")
    given = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="calotype-bench-")))
        inis = {kind: prepare(folder / kind.scrub, kind, given.images, given.size << 20) for kind in KINDS}
        servers = {
            kind: stack.enter_context(Server(folder / kind.scrub / "data", ini)) for kind, ini in inis.items()
        }
        clients = {kind: stack.enter_context(Client(one)) for kind, one in servers.items()}
        taken: dict[Kind, list[float]] = {kind: [] for kind in KINDS}
        for number in range(given.rounds):
            for kind in KINDS if number % 2 else reversed(KINDS):
                taken[kind] += ask(clients[kind], given.asked)
        before = {kind: one.cpu_seconds() for kind, one in servers.items()}
        time.sleep(given.idle)
        print("| server | median ms | p99 ms | % of a core while nobody asks |\n| --- | --- | --- | --- |")
        for kind, server in servers.items():
            hundredths = quantiles(taken[kind], n=100)
            share = (server.cpu_seconds() - before[kind]) / given.idle * 100
            print(f"| {kind.name} | {hundredths[49]:.2f} | {hundredths[98]:.2f} | {share:.2f} |")


if __name__ == "__main__":
    main()
