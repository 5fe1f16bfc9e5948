"""Measure Calotype and its peers in one run, and write a page with the table and the chart.

Transfers use files in memory, so that the speed of disks does not matter. Only the figures that name a disk
use files on a disk.
"""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import chart
import comparison
import peers_table
from comparison import Measuring
from figures import US, Figures, Row
from peers.calotype import Calotype, CalotypeV2
from peers.glance import Glance
from peers.nginx import Nginx
from peers.peer import Peer
from peers.postgres import Postgres
from peers.registry import Registry
from rows import GLANCE, MACHINE, NGINX, ON_POSTGRESQL, REGISTRY, V2, Sizes, rows
from testservers import common

from tests.support.results import RESULTS, machine, write_page

PAGE = RESULTS / "peers.md"
#: The text above the table.
NOTE = "The servers and what is measured are described in [Performance](../performance.md)."
MEMORY = Path("/dev/shm")
PEERS = (US, GLANCE, REGISTRY, NGINX)
CHARTED = ("upload", "uploads", "download", "downloads", "create-8", "show-8", "list-many", "p99-uploads")
QUICK = Sizes(image=64 << 20, stream=16 << 20, few=1_000, many=10_000, most=20_000, readers=200)
FULL = Sizes(image=1 << 30, stream=128 << 20, few=1_000, many=100_000, most=1_000_000, readers=200)


def main() -> None:
    """Measure transfers in memory, and durable writes on a disk."""
    options = read_options()
    measuring = (
        Measuring(Figures(), QUICK, rounds=options.rounds or 1, asked=80, seconds=0.4)
        if options.quick
        else Measuring(Figures(), FULL, rounds=options.rounds or 5, asked=2000, seconds=5)
    )
    with common.run_folder(options.dir) as disk, Postgres(disk / "postgres") as database:
        with common.run_folder(options.memory) as memory:
            measure_in_memory(measuring, memory, database)
        measure_on_disk(measuring, disk, database)
    publish(measuring, options.page)


def measure_in_memory(measuring: Measuring, folder: Path, database: Postgres) -> None:
    """Measure transfers, and other requests during them."""
    sizes = measuring.sizes
    peers = all_peers(folder, database.create("glance_in_memory"))
    only_sha256 = Calotype(folder / "sha256", {"calotype.md5": "false"})
    image = comparison.big_content(folder / "image.raw", sizes.image)
    with prepared(peers):
        comparison.measure_starts(measuring, peers)
        comparison.measure_machine(measuring, image)
        comparison.measure_streams(measuring, peers, [image])
        with running([only_sha256]):
            comparison.measure_one_hash(measuring, [only_sha256, *peers[1:]], image)
        image.body.unlink()
        parts = [comparison.big_content(folder / f"{n}.raw", sizes.stream) for n in range(sizes.streams)]
        comparison.measure_streams(measuring, peers, parts)
        comparison.measure_refusals(measuring, peers)
        comparison.measure_crowded(measuring, peers, parts)
        comparison.measure_memory(measuring, "memory", peers)


def measure_on_disk(measuring: Measuring, folder: Path, database: Postgres) -> None:
    """Measure requests that write to a disk or read a database."""
    peers = all_peers(folder, database.create("glance"))
    url = database.create("calotype").replace("://", "+psycopg://")
    more = [
        CalotypeV2(folder / "v2", name=V2),
        Calotype(folder / "postgresql", {"sqlalchemy.url": url}, name=ON_POSTGRESQL),
    ]
    image = comparison.big_content(folder / "image.raw", measuring.sizes.image)
    with running(peers):
        comparison.measure_disk(measuring, peers, image)
        with running(more):
            comparison.measure_small(measuring, [*peers, *more])
        comparison.measure_memory(measuring, "memory-small", peers)
        comparison.measure_lists(measuring, peers)


def all_peers(folder: Path, database: str) -> list[Peer]:
    """Return Calotype and the other peers, with their data below the folder."""
    return [
        Calotype(folder / "calotype"),
        Glance(folder / "glance", database),
        Registry(folder / "registry"),
        Nginx(folder / "nginx"),
    ]


@contextlib.contextmanager
def prepared(peers: Sequence[Peer]) -> Iterator[None]:
    """Prepare all peers, and stop them after the block."""
    with contextlib.ExitStack() as stack:
        for peer in peers:
            peer.folder.mkdir()
            peer.prepare()
            stack.callback(peer.stop)
        yield


@contextlib.contextmanager
def running(peers: Sequence[Peer]) -> Iterator[None]:
    """Prepare and start all peers, and stop them after the block."""
    with prepared(peers):
        for peer in peers:
            peer.start()
        yield


def publish(measuring: Measuring, target: Path | None) -> None:
    """Print the table. If there is a page, write the table and the chart."""
    found, figures = rows(measuring.sizes), measuring.figures
    table = peers_table.table([row for row in found if not figures.rounds(row.key, MACHINE)], PEERS, figures)
    beside = [f"{who}: {_sentence(found, who, figures)}." for who in (MACHINE, V2, ON_POSTGRESQL)]
    kind = "" if measuring.sizes == FULL else "A quick run, which says little; "
    heading = f"{kind}Medians of {measuring.rounds} rounds (least to most)."
    print("\n\n".join([machine(), heading, table, *beside]))
    if target:
        picture = f"![Bars of the peers' figures]({target.stem}.svg)"
        title = "Calotype beside other servers"
        write_page(target, title, "make bench-peers", NOTE, heading, table, *beside, picture)
        charted = [row for key in CHARTED for row in found if row.key == key]
        title = "Calotype and its peers, 2 processes each"
        target.with_suffix(".svg").write_text(chart.draw(title, charted, PEERS, figures))


def _sentence(found: Sequence[Row], who: str, figures: Figures) -> str:
    measured = [(row, figures.median(row.key, who)) for row in found if figures.rounds(row.key, who)]
    return ", ".join(f"{row.what} {figure:,.{row.digits}f} {row.unit}" for row, figure in measured)


def read_options() -> argparse.Namespace:
    """Return the command line's options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller and shorter: about a minute")
    parser.add_argument("--rounds", type=int, metavar="N", help="rounds of each figure (5; quick: 1)")
    parser.add_argument("--dir", type=Path, help="a folder on a disk (the system's temporary folder)")
    parser.add_argument("--memory", type=Path, default=MEMORY, help=f"a folder in memory ({MEMORY})")
    parser.add_argument("--page", type=Path, help="the page to write (docs/results/peers.md; quick: none)")
    options = parser.parse_args()
    if not options.quick and not options.page:
        options.page = PAGE
    return options


if __name__ == "__main__":
    main()
