"""Compare the dialects at the same work, and the last pages of a long list with its first pages.

The figures are the server's processor time, which other load on the machine changes little.
`python bench/dialects.py` measures only the dialects.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from catalogue import populate
from report import Report
from requests_per_second import CONCURRENCIES, LISTED, ask_at_once
from sqlalchemy import func, update
from testservers import common
from timing import Timing

from calotype.database.engine import build_engine
from calotype.database.tables import ImageRow
from client import Client
from server import Server

_META = {
    "x_image_meta_name": "new",
    "x_image_meta_is_public": "true",
    "x_image_meta_disk_format": "raw",
    "x_image_meta_container_format": "bare",
    "x_image_meta_property_os": "linux",
}
_DOCUMENT = {
    "name": "new",
    "visibility": "public",
    "disk_format": "raw",
    "container_format": "bare",
    "os": "linux",
}

Ask = Callable[[Client], object]


@dataclass(frozen=True)
class Dialect:
    """The requests of a dialect that show an image, create an image, and list all images with all fields.

    `filter` is a filter of the list that half of the images pass. The classic dialect has no filters.
    """

    name: str
    show: Callable[[Client, str], object]
    create: Ask
    list: str
    filter: str = ""


DIALECTS = (
    Dialect(
        "classic",
        lambda client, image_id: client.ask("HEAD", f"/images/{image_id}"),
        lambda client: client.ask("POST", "/images", **_META),
        f"/images/detail?limit={LISTED}",
    ),
    Dialect(
        "v1",
        lambda client, image_id: client.ask("HEAD", f"/v1/images/{image_id}"),
        lambda client: client.ask("POST", "/v1/images", **_META),
        f"/v1/images/detail?limit={LISTED}&is_public=none",
        "&disk_format=qcow2",
    ),
    Dialect(
        "v2",
        lambda client, image_id: client.ask("GET", f"/v2/images/{image_id}"),
        lambda client: client.ask("POST", "/v2/images", json.dumps(_DOCUMENT).encode()),
        f"/v2/images?limit={LISTED}",
        "&disk_format=qcow2",
    ),
)


def measure_dialects(report: Report, folder: Path, images: int, asked: int, rounds: int) -> None:
    """Measure a whole list of this many images, then lists, shows and creations, `asked` in each round."""
    with Server(folder) as server:
        populate(server, images, images)
        _give_formats(folder)
        for dialect in DIALECTS:
            _page_through(report, server, dialect)
        with Client(server) as client:
            image_id = client.image("POST", "/images", **_META)["id"]
        works: dict[str, Callable[[Dialect], Ask]] = {
            f"list of {LISTED} of {images:,}": lambda dialect: lambda client: client.ask("GET", dialect.list),
            "show": lambda dialect: lambda client: dialect.show(client, image_id),
            "create": lambda dialect: dialect.create,
        }
        for what, work in works.items():
            for clients in CONCURRENCIES:
                _compare(report, server, what, work, clients, asked, rounds)


def _give_formats(folder: Path) -> None:
    """Give half of the images the format that the filter asks for."""
    engine = build_engine(f"sqlite:///{folder / 'calotype.sqlite'}")
    even = func.substr(ImageRow.name, -1).in_(list("02468"))
    with engine.begin() as connection:
        connection.execute(update(ImageRow.__table__).where(even).values(disk_format="qcow2"))
    engine.dispose()


def _page_through(report: Report, server: Server, dialect: Dialect) -> None:
    """Follow a list's links to its end, and compare the first tenth of pages with the last."""
    path = dialect.list + dialect.filter
    seconds, cpu = [], [server.cpu_seconds()]
    with Client(server) as client:
        while path:
            began = time.perf_counter()
            body = client.ask("GET", path).body
            seconds.append(time.perf_counter() - began)
            cpu.append(server.cpu_seconds())
            path = json.loads(body).get("next")
    tenth = len(seconds) // 10
    what = f"{dialect.name}: {len(seconds):,} pages of {LISTED}{', filtered' if dialect.filter else ''}"
    report.pages(
        what,
        [median(part) for part in (seconds[:tenth], seconds, seconds[-tenth:])],
        ratio=(cpu[-1] - cpu[-1 - tenth]) / (cpu[tenth] - cpu[0]),
        cpu=(cpu[-1] - cpu[0]) / len(seconds),
    )


def _compare(
    report: Report,
    server: Server,
    what: str,
    work: Callable[[Dialect], Ask],
    clients: int,
    asked: int,
    rounds: int,
) -> None:
    timings = {dialect: Timing(server) for dialect in DIALECTS}
    for _ in range(rounds):
        for dialect, timing in timings.items():
            with timing.round(asked):
                ask_at_once(server, clients, asked // clients, work(dialect))
    cheapest = min(timing.cpu for timing in timings.values())
    for dialect, timing in timings.items():
        ratio = timing.cpu / cheapest
        report.rate(f"{dialect.name}: {what}", clients, 1 / timing.seconds, timing.cpu, ratio)


def main() -> None:
    """Measure only the dialects."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=100_000, metavar="N")
    parser.add_argument("--asked", type=int, default=1000, metavar="N")
    parser.add_argument("--rounds", type=int, default=5, metavar="N")
    options = parser.parse_args()
    report = Report()
    with common.run_folder() as folder:
        measure_dialects(report, folder, options.images, options.asked, options.rounds)
    report.show()


if __name__ == "__main__":
    main()
