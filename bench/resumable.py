"""Measure resumable uploads beside a plain PUT: in parallel over a long line, and in parts. Write a page.

The line is a relay on this machine. Each byte takes 50 ms in each direction, and each connection carries
200 Mbit/s. The backend of S3 and Swift is a real Swift with an S3 API on this machine; `--backend ceph`
selects Ceph's gateway instead. All files are in memory, so that the speed of disks does not matter.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import peers_table
from comparison import Measuring, measure_memory
from crowd import at_once
from figures import US, Figures, Row, times
from peers.calotype import Calotype
from peers.peer import HOST
from rows import Sizes, mib
from stores import started_backend, store_settings
from testservers import common
from transfers import write_random

from client import Client, Listening, Slice
from tests.support.long_line import LongLine
from tests.support.results import RESULTS, machine, write_page

PAGE = RESULTS / "uploads.md"
#: The text above the table.
NOTE = "[Performance](../performance.md#resumable-uploads) describes the measurements."
MEMORY = Path("/dev/shm")
#: The column of a plain upload.
PUT = "PUT"
MIB = 1 << 20
#: The line: seconds in each direction, and bytes per second of each connection.
DELAY, RATE = 0.05, 25_000_000
#: The number of parts that are sent at the same time, and the size of parts that follow each other.
PARALLEL, PART = 4, 64 * MIB
STORES = ("s3", "swift", "file")
_TUS = {"Tus_Resumable": "1.0.0"}
_FORMATS = {"disk_format": "raw", "container_format": "bare"}


@dataclass(frozen=True)
class Near(Listening):
    """A server on this machine, or the end of a line to it."""

    port: int

    def connect(self) -> socket.socket:
        """Return a new connection, which the caller closes."""
        connection = socket.create_connection((HOST, self.port), timeout=600)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection


def put(server: Listening, store: str, path: Path) -> None:
    """Upload a file by one plain PUT to a new image."""
    with Client(server) as client:
        document = json.dumps({"name": path.name, **_FORMATS}).encode()
        made = client.ask("POST", "/v2/images", document, Content_Type="application/json")
        address = f"/v2/images/{json.loads(made.body)['id']}/file"
        headers = {"Content_Type": "application/octet-stream", "X_Image_Meta_Store": store}
        client.ask("PUT", address, path, **headers)


def in_parts(server: Listening, store: str, path: Path) -> None:
    """Upload a file by tus, in parts that follow each other."""
    size = path.stat().st_size
    with Client(server) as client:
        address = _create(client, Upload_Length=f"{size}", **_metadata(store, path))
        for start in range(0, size, PART):
            _send(client, address, Slice(path, start, min(PART, size - start)), offset=start)


def in_parallel(server: Listening, store: str, path: Path) -> float:
    """Upload a file by tus in parts that are sent at the same time. Return the seconds of joining them."""
    addresses = at_once(PARALLEL, partial(_upload_part, server, store, path)).results
    began = time.perf_counter()
    with Client(server) as client:
        _create(client, Upload_Concat=f"final;{' '.join(addresses)}", **_metadata(store, path))
    return time.perf_counter() - began


def _upload_part(server: Listening, store: str, path: Path, number: int) -> str:
    """Upload a part of the file, and return its address."""
    size = path.stat().st_size
    start, end = size * number // PARALLEL, size * (number + 1) // PARALLEL
    with Client(server) as client:
        headers = {"Upload_Length": f"{end - start}", "Upload_Concat": "partial"}
        address = _create(client, **headers, Upload_Metadata=_pairs(store=store))
        _send(client, address, Slice(path, start, end - start), offset=0)
    return address


def _create(client: Client, **headers: str) -> str:
    """Create an upload, and return its path."""
    answer = client.ask("POST", "/uploads", **_TUS, **headers)
    return urlsplit(answer.head.field("location") or "").path


def _send(client: Client, address: str, part: Slice, offset: int) -> None:
    headers = {"Content_Type": "application/offset+octet-stream", "Upload_Offset": f"{offset}"}
    client.ask("PATCH", address, part, **_TUS, **headers)


def _metadata(store: str, path: Path) -> dict[str, str]:
    return {"Upload_Metadata": _pairs(name=path.name, store=store, **_FORMATS)}


def _pairs(**fields: str) -> str:
    return ",".join(f"{key} {base64.b64encode(text.encode()).decode()}" for key, text in fields.items())


#: The keys of rows, with how our side uploads.
WAYS: dict[str, Callable[[Listening, str, Path], float | None]] = {"parallel": in_parallel, "parts": in_parts}


def main() -> None:
    """Measure all stores over the line and without it, and publish the table."""
    options = read_options()
    sizes = Sizes(image=options.size, stream=0, few=0, many=0, most=0, readers=0)
    measuring = Measuring(Figures(), sizes, rounds=options.rounds, asked=0, seconds=0)
    with (
        common.run_folder(options.memory) as folder,
        started_backend(options.backend, folder / "backend") as settings,
    ):
        ours = Calotype(folder / "calotype", store_settings(settings, settings["S3_ENDPOINT"]))
        ours.folder.mkdir()
        ours.prepare()
        ours.start()
        write_random(folder / "image.raw", options.size)
        try:
            with LongLine(HOST, ours.port, delay=DELAY, rate=RATE) as line:
                for store in options.only:
                    measure(measuring, ours, store, folder / "image.raw", line)
            measure_memory(measuring, "memory", [ours])
        finally:
            ours.stop()
    publish(measuring, options)


def measure(measuring: Measuring, ours: Calotype, store: str, path: Path, line: LongLine) -> None:
    """Measure uploads to one store: over the line, and without it."""
    for _ in range(measuring.rounds):
        for key, way in WAYS.items():
            near = Near(line.port if key == "parallel" else ours.port)
            for column, upload in ((PUT, put), (US, way)):
                before, began = ours.cpu_seconds(), time.perf_counter()
                joining = upload(near, store, path)
                seconds, spent = time.perf_counter() - began, ours.cpu_seconds() - before
                measuring.add(f"{store}-{key}", column, measuring.sizes.image / MIB / seconds)
                measuring.add(f"{store}-{key}-cpu", column, spent / (measuring.sizes.image / MIB) * 1024)
                if joining is not None:
                    measuring.add(f"{store}-join", column, joining)
                _remove_all(ours, measuring.sizes.image)


def _remove_all(ours: Calotype, size: int) -> None:
    """Delete the image that was measured, after a check that it is active and complete."""
    with Client(Near(ours.port)) as client:
        (image,) = json.loads(client.ask("GET", "/v2/images").body)["images"]
        if (image["status"], image["size"]) != ("active", size):
            raise SystemExit(f"the image is {image['status']}, with {image['size']} of {size} bytes")
        client.ask("DELETE", f"/v2/images/{image['id']}")


def rows(sizes: Sizes) -> list[Row]:
    """Return the lines of the table in the order of the page."""
    found = []
    for store in STORES:
        for key, what, factor in (
            ("parallel", f"{PARALLEL} parallel parts over the line", 3),
            ("parts", f"parts of {mib(PART)} without the line", 0.9),
        ):
            name = f"{store}: {mib(sizes.image)}, {what}"
            found.append(Row(f"{store}-{key}", name, "MiB/s", (times(factor, PUT),)))
            if key == "parallel":
                found.append(Row(f"{store}-join", f"{name}, of which joining", "s", more=False, digits=2))
            cpu = f"{name}, processor time"
            found.append(Row(f"{store}-{key}-cpu", cpu, "s/GiB", more=False, digits=2))
    return [*found, Row("memory", "peak memory of a process", "MiB", more=False)]


def publish(measuring: Measuring, options: argparse.Namespace) -> None:
    """Print the table. If there is a page, write it."""
    found = [row for row in rows(measuring.sizes) if measuring.figures.rounds(row.key, US)]
    table = peers_table.table(found, {US: "tus", PUT: "one plain PUT"}, measuring.figures)
    kind = "A quick run, which says little; m" if options.quick else "M"
    heading = (
        f"{kind}edians of {measuring.rounds} rounds (least to most). The backend is {options.backend}. "
        f"The line delays bytes by {DELAY * 1000:.0f} ms in each direction, and each connection carries "
        f"{RATE * 8 / 1e6:.0f} Mbit/s. Before the run, the machine's load average was {options.load:.1f}."
    )
    print("\n\n".join([machine(), heading, table]))
    if options.page:
        write_page(options.page, "Resumable uploads", "make bench-uploads", NOTE, heading, table)


def read_options() -> argparse.Namespace:
    """Return the command line's options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller and shorter: about a minute")
    parser.add_argument("--rounds", type=int, metavar="N", help="rounds of each figure (3; quick: 1)")
    parser.add_argument("--size", type=int, metavar="MIB", help="size of the image (512; quick: 128)")
    parser.add_argument("--only", nargs="+", choices=STORES, default=STORES, help="only these stores")
    parser.add_argument("--backend", choices=("swift", "ceph"), default="swift", help="the server (swift)")
    parser.add_argument("--memory", type=Path, default=MEMORY, help=f"a folder in memory ({MEMORY})")
    parser.add_argument(
        "--page", type=Path, help="the page to write (docs/results/uploads.md; not if incomplete)"
    )
    options = parser.parse_args()
    options.load = os.getloadavg()[1]
    options.rounds = options.rounds or (1 if options.quick else 3)
    options.size = (options.size or (128 if options.quick else 512)) * MIB
    is_whole = options.size >= 512 * MIB and options.rounds >= 3 and options.only == STORES
    if is_whole and not options.quick and options.backend == "swift":
        options.page = options.page or PAGE
    return options


if __name__ == "__main__":
    main()
