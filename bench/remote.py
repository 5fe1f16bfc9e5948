"""Measure images in S3 and Swift through Calotype and directly, and random reads, and write a page.

The backend is a real Swift with an S3 API on this machine; `--backend ceph` selects Ceph's gateway instead.
All files are in memory, so that the speed of disks does not matter.
"""

from __future__ import annotations

import argparse
import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import peers_table
from comparison import Measuring, measure_memory
from crowd import at_once
from figures import US, Figures, Row, times
from peers.calotype import Calotype
from peers.nginx import Nginx
from peers.peer import HOST, Content, Peer
from rivals import Boto3, Direct, Rival, SwiftClient
from rows import NGINX, Sizes, mib
from stores import started_backend, store_settings
from testservers import common
from transfers import write_random

from client import Client
from tests.support.results import RESULTS, machine, write_page

PAGE = RESULTS / "remote.md"
#: The text above the table.
NOTE = "[Performance](../performance.md#remote-stores) describes the measurements."
MEMORY = Path("/dev/shm")
#: The column of the program that each row names.
DIRECTLY = "directly"
MIB, GIB = 1 << 20, 1 << 30
#: The size of a random read in bytes, and the numbers of clients that read at the same time.
READ, READERS = 64 << 10, (1, 8)
STORES = ("s3", "swift", "file")


class Service:
    """Calotype with one store, with the methods of a rival's transfers."""

    def __init__(self, peer: Calotype, store: str):
        self.peer = peer
        self._store = store

    def upload(self, path: Path) -> str:
        """Store a file as an image, and return its id."""
        with Client(self.peer) as client:
            image = client.upload(path, x_image_meta_store=self._store, x_image_meta_is_public="true")
        return str(image["id"])

    def download(self, name: str, path: Path) -> None:
        """Write an image to a file."""
        with Client(self.peer) as client:
            client.download(name, path)

    def remove(self, name: str) -> None:
        """Delete an image."""
        with Client(self.peer) as client:
            client.ask("DELETE", f"/images/{name}")


@dataclass(frozen=True)
class Side:
    """One of the two compared sides: its column, its transfers, and whether they pass through Calotype."""

    column: str
    way: Service | Rival

    def measure(
        self, measuring: Measuring, row: str, clients: int, size: int, work: Callable[[int], Any]
    ) -> Any:
        """Let clients transfer `size` bytes in total, record speed and processor time, return the results.

        The processor time is that of the service, or that of the program.
        """
        before = self.way.peer.cpu_seconds() if isinstance(self.way, Service) else 0
        done = at_once(clients, partial(_with_cpu_seconds, work))
        spent = sum(cpu for _, cpu in done.results)
        if isinstance(self.way, Service):
            spent = self.way.peer.cpu_seconds() - before
        measuring.add(row, self.column, size / MIB / done.seconds)
        measuring.add(f"{row}-cpu", self.column, spent / size * GIB)
        return [result for result, _ in done.results]


@dataclass(frozen=True)
class Target:
    """An object to read, and the server whose processor time the reads cost; None for the backend."""

    address: Direct
    peer: Peer | None = None

    def cpu_seconds(self) -> float:
        """Return the processor time of the server in seconds; 0 for the backend."""
        return 0 if self.peer is None else self.peer.cpu_seconds()


def main() -> None:
    """Measure both stores, then files, and publish the table."""
    options = read_options()
    sizes = Sizes(image=options.size, stream=options.size // 16, few=0, many=0, most=0, readers=0)
    seconds = 1 if options.quick else 4
    measuring = Measuring(Figures(), sizes, rounds=options.rounds, asked=0, seconds=seconds)
    with (
        common.run_folder(options.memory) as folder,
        started_backend(options.backend, folder / "backend") as settings,
    ):
        ours = Calotype(folder / "calotype", store_settings(settings, settings["S3_ENDPOINT"]))
        ours.folder.mkdir()
        ours.prepare()
        ours.start()
        try:
            for rival in (Boto3(settings), SwiftClient(settings)):
                if rival.store in options.only:
                    measure_store(measuring, ours, rival, folder)
            if "file" in options.only:
                measure_files(measuring, ours, folder)
            measure_memory(measuring, "memory", [ours])
        finally:
            ours.stop()
    publish(measuring, options)


def measure_store(measuring: Measuring, ours: Calotype, rival: Rival, folder: Path) -> None:
    """Measure transfers and random reads of one backend."""
    sizes, store = measuring.sizes, rival.store
    large, small = folder / "large", folder / "small"
    write_random(large, sizes.image)
    write_random(small, sizes.stream)
    rival.prepare()
    sides = [Side(DIRECTLY, rival), Side(US, Service(ours, store))]
    for _ in range(measuring.rounds):
        names = {side.column: _measure_one(measuring, side, store, large) for side in sides}
        name = names[US]
        targets = {DIRECTLY: Target(rival.direct(name)), US: _at(ours, f"/images/{name}")}
        _measure_reads(measuring, store, targets, sizes.image)
        for side in sides:
            _apart(partial(side.way.remove, names[side.column]))
        for side in sides:
            _measure_streams(measuring, side, store, small)
    large.unlink()
    small.unlink()


def _at(peer: Peer, path: str) -> Target:
    return Target(Direct(f"http://{HOST}:{peer.port}", path), peer)


def _apart(work: Callable[[], Any]) -> Any:
    """Do the work in its own process, because processes must not share the connections of a program."""
    (result,) = at_once(1, lambda _: work()).results
    return result


def _with_cpu_seconds(work: Callable[[int], Any], number: int) -> tuple[Any, float]:
    """Do the work, and return its result and the processor time of this process meanwhile."""
    before = time.process_time()
    return work(number), time.process_time() - before


def _expect(copy: Path, size: int) -> None:
    if copy.stat().st_size != size:
        raise SystemExit(f"downloaded {copy.stat().st_size} bytes of {size}")
    copy.unlink()


def _measure_one(measuring: Measuring, side: Side, store: str, path: Path) -> str:
    """Measure one upload and one download, and return the name of the object, which remains."""
    size, copy = path.stat().st_size, path.with_name("copy")
    (name,) = side.measure(measuring, f"{store}-upload", 1, size, lambda _: side.way.upload(path))
    side.measure(measuring, f"{store}-download", 1, size, lambda _: side.way.download(name, copy))
    _expect(copy, size)
    return str(name)


def _measure_streams(measuring: Measuring, side: Side, store: str, path: Path) -> None:
    """Measure several downloads of one object at the same time."""
    size, streams = path.stat().st_size, measuring.sizes.streams
    name = _apart(partial(side.way.upload, path))
    copies = [path.with_name(f"copy-{number}") for number in range(streams)]
    work = lambda number: side.way.download(name, copies[number])  # noqa: E731
    side.measure(measuring, f"{store}-downloads", streams, size * streams, work)
    for copy in copies:
        _expect(copy, size)
    _apart(partial(side.way.remove, name))


def measure_files(measuring: Measuring, ours: Calotype, folder: Path) -> None:
    """Measure random reads of a file beside nginx."""
    path, nginx = folder / "large", Nginx(folder / "nginx", nopush=False)
    write_random(path, measuring.sizes.image)
    nginx.folder.mkdir()
    nginx.prepare()
    nginx.start()
    try:
        with Client(nginx) as client:
            theirs = nginx.store(client, Content(path, sha256=""))
        name = Service(ours, "file").upload(path)
        targets = {DIRECTLY: _at(nginx, nginx.address(theirs)), US: _at(ours, f"/images/{name}")}
        for _ in range(measuring.rounds):
            _measure_reads(measuring, "file", targets, measuring.sizes.image)
    finally:
        nginx.stop()
    path.unlink()


def _measure_reads(measuring: Measuring, store: str, targets: dict[str, Target], size: int) -> None:
    """Measure how many random ranges per second clients read from an object of `size` bytes."""
    for clients in READERS:
        for column, target in targets.items():
            before = target.cpu_seconds()
            done = at_once(clients, partial(_read_ranges, target.address, size, measuring.seconds))
            count, spent = sum(done.results), target.cpu_seconds() - before
            measuring.add(f"{store}-reads-{clients}", column, count / done.seconds)
            if target.peer is not None:
                measuring.add(f"{store}-reads-cpu", column, spent / count * 1000)


def _read_ranges(address: Direct, size: int, seconds: float, number: int) -> int:
    """Read random ranges over one connection, and return their number."""
    places, count, end = random.Random(number), 0, time.perf_counter() + seconds
    with Client(address) as client:
        while time.perf_counter() < end:
            start = places.randrange(size - READ)
            wanted = f"bytes={start}-{start + READ - 1}"
            answer = client.ask("GET", address.path, Range=wanted, **address.headers)
            if answer.status != 206 or len(answer.body) != READ:
                raise SystemExit(f"GET {address.path}: {answer.status}, {len(answer.body)} bytes")
            count += 1
    return count


def rows(sizes: Sizes) -> list[Row]:
    """Return the lines of the table in the order of the page."""
    return [
        *_transfers("s3", Boto3.name, sizes),
        *_reads("s3", "plain HTTP"),
        *_transfers("swift", SwiftClient.name, sizes),
        *_reads("swift", "plain HTTP"),
        *_reads("file", NGINX),
        Row("memory", "peak memory of a process", "MiB", more=False),
    ]


def _transfers(store: str, rival: str, sizes: Sizes) -> list[Row]:
    found, goals = [], (times(1, DIRECTLY, name=rival),)
    for key, what in (
        ("upload", f"upload {mib(sizes.image)}"),
        ("download", f"download {mib(sizes.image)}"),
        ("downloads", f"{sizes.streams} downloads of {mib(sizes.stream)}"),
    ):
        name = f"{store}: {what}; {rival}"
        found.append(Row(f"{store}-{key}", name, "MiB/s", goals))
        found.append(Row(f"{store}-{key}-cpu", f"{name}, processor time", "s/GiB", more=False, digits=2))
    return found


def _reads(store: str, other: str) -> list[Row]:
    what = f"{store}: random reads of {READ >> 10} KiB"
    return [
        *(
            Row(f"{store}-reads-{clients}", f"{what}, {clients} at a time; {other}", "/s")
            for clients in READERS
        ),
        Row(f"{store}-reads-cpu", f"{store}: processor time of a read; {other}", "ms", more=False, digits=2),
    ]


def publish(measuring: Measuring, options: argparse.Namespace) -> None:
    """Print the table. If there is a page, write it."""
    found = [row for row in rows(measuring.sizes) if measuring.figures.rounds(row.key, US)]
    table = peers_table.table(found, {US: US, DIRECTLY: DIRECTLY}, measuring.figures)
    kind = "A quick run, which says little; m" if options.quick else "M"
    heading = (
        f"{kind}edians of {measuring.rounds} rounds (least to most). The backend is {options.backend}. "
        f"Before the run, the machine's load average was {options.load:.1f}."
    )
    print("\n\n".join([machine(), heading, table]))
    if options.page:
        write_page(options.page, "Remote stores", "make bench-remote", NOTE, heading, table)


def read_options() -> argparse.Namespace:
    """Return the command line's options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller and shorter: about a minute")
    parser.add_argument("--rounds", type=int, metavar="N", help="rounds of each figure (5; quick: 1)")
    parser.add_argument("--size", type=int, metavar="MIB", help="size of the image (1024; quick: 128)")
    parser.add_argument("--only", nargs="+", choices=STORES, default=STORES, help="only these stores")
    parser.add_argument("--backend", choices=("swift", "ceph"), default="swift", help="the server (swift)")
    parser.add_argument("--memory", type=Path, default=MEMORY, help=f"a folder in memory ({MEMORY})")
    parser.add_argument(
        "--page", type=Path, help="the page to write (docs/results/remote.md; not if incomplete)"
    )
    options = parser.parse_args()
    options.load = os.getloadavg()[1]
    options.rounds = options.rounds or (1 if options.quick else 5)
    options.size = (options.size or (128 if options.quick else 1024)) * MIB
    if options.size == GIB and not options.quick and options.only == STORES and options.backend == "swift":
        options.page = options.page or PAGE
    return options


if __name__ == "__main__":
    main()
