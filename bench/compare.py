"""Measure Calotype and its peers in one run, and write a page with the goals, the figures and the chart.

Transfers use files in memory, so that the speed of disks does not matter. Only the figures that name a disk
use files on a disk. Each goal needs three runs at least half an hour apart: the first run writes the page,
and `--add` adds the others.
"""

from __future__ import annotations

import argparse
import datetime
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import comparison
import peers_page
from comparison import Measuring
from figures import Figures
from peers.calotype import Calotype, CalotypeV2
from peers.glance import Glance
from peers.nginx import Nginx
from peers.peer import Peer, prepared, running
from peers.postgres import Postgres
from peers.registry import Registry
from rows import ON_POSTGRESQL, ONE, V2, Sizes
from runs import Run, last_runs, read_runs, too_soon, write_runs
from testservers import common

from tests.support.results import RESULTS, commit

PAGE = RESULTS / "peers.md"
MEMORY = Path("/dev/shm")
QUICK = Sizes(image=64 << 20, stream=16 << 20, few=1_000, many=10_000, most=20_000, readers=200)
FULL = Sizes(image=1 << 30, stream=128 << 20, few=1_000, many=100_000, most=1_000_000, readers=200)


@dataclass(frozen=True)
class Part:
    """A part of a run, which can be measured alone, and how many minutes it takes on a quiet machine."""

    measure: Callable[[Measuring, Path, Postgres], None]
    in_memory: bool
    minutes: float
    minutes_per_round: float


def main() -> None:
    """Measure the parts, and write the page."""
    options = read_options()
    if options.rewrite:
        peers_page.write(options.page, FULL, read_runs(runs_file(options.page)))
        return
    started, runs = datetime.datetime.now(datetime.UTC), []
    if options.add:
        runs = read_runs(runs_file(options.page))
        if message := too_soon(runs, options.only, started):
            raise SystemExit(message)
    measuring = (
        Measuring(Figures(), QUICK, rounds=options.rounds or 1, asked=80, seconds=0.4)
        if options.quick
        else Measuring(Figures(), FULL, rounds=options.rounds or 4, asked=1600, seconds=5)
    )
    if not options.quick:
        minutes = estimate(options.only, measuring.rounds)
        print(f"This takes about {minutes} minutes on a quiet machine.", flush=True)
    measured = commit()
    measure(measuring, options)
    minutes = (datetime.datetime.now(datetime.UTC) - started).total_seconds() / 60
    run = Run(started, measured, measuring.rounds, round(minutes), tuple(options.only), measuring.figures)
    runs = last_runs([*runs, run])
    if options.page:
        write_runs(runs_file(options.page), runs)
        peers_page.write(options.page, measuring.sizes, runs)
    print(peers_page.text(measuring.sizes, runs))


def runs_file(page: Path) -> Path:
    """Return the file with the runs that the page shows."""
    return page.with_suffix(".jsonl")


def estimate(parts: Sequence[str], rounds: int) -> int:
    """Return how many minutes a full run of these parts takes on a quiet machine."""
    return math.ceil(sum(PARTS[part].minutes + PARTS[part].minutes_per_round * rounds for part in parts))


def measure(measuring: Measuring, options: argparse.Namespace) -> None:
    """Measure each part with its files in memory or on a disk."""
    with common.run_folder(options.dir) as disk, Postgres(disk / "postgres") as database:
        for name in options.only:
            part = PARTS[name]
            with common.run_folder(options.memory if part.in_memory else options.dir) as folder:
                part.measure(measuring, folder, database)


def measure_transfers(measuring: Measuring, folder: Path, database: Postgres) -> None:
    """Measure transfers in memory, and other requests during them."""
    sizes = measuring.sizes
    peers = all_peers(folder, database.create("glance_in_memory"))
    one = Calotype(folder / "one", name=ONE, server={"processes": "1"})
    only_sha256 = Calotype(folder / "sha256", {"calotype.md5": "false"})
    image = comparison.big_content(folder / "image.raw", sizes.image)
    with prepared([*peers, one]):
        comparison.measure_starts(measuring, [*peers, one])
        comparison.measure_machine(measuring, image)
        comparison.measure_streams(measuring, [*peers, one], [image])
        with running([only_sha256]):
            comparison.measure_one_hash(measuring, [only_sha256, *peers[1:]], image)
        image.body.unlink()
        parts = [comparison.big_content(folder / f"{n}.raw", sizes.stream) for n in range(sizes.streams)]
        comparison.measure_streams(measuring, [*peers, one], parts)
        comparison.measure_refusals(measuring, peers)
        comparison.measure_crowded(measuring, peers, parts)
        comparison.measure_pss(measuring, [*peers, one], parts)
        comparison.measure_memory(measuring, "memory", [*peers, one])


def measure_requests(measuring: Measuring, folder: Path, database: Postgres) -> None:
    """Measure requests that write to a disk."""
    peers = all_peers(folder, database.create("glance"))
    url = database.create("calotype").replace("://", "+psycopg://")
    more = [
        Calotype(folder / "one", name=ONE, server={"processes": "1"}),
        CalotypeV2(folder / "v2", name=V2),
        Calotype(folder / "postgresql", {"sqlalchemy.url": url}, name=ON_POSTGRESQL),
    ]
    image = comparison.big_content(folder / "image.raw", measuring.sizes.image)
    with running(peers):
        comparison.measure_disk(measuring, peers, image)
        with running(more):
            comparison.measure_small(measuring, [*peers, *more])
            comparison.measure_memory(measuring, "memory-small", [*peers, *more[:1]])


def measure_lists(measuring: Measuring, folder: Path, database: Postgres) -> None:
    """Measure lists among more and more images."""
    peers = [peer for peer in all_peers(folder, database.create("glance_lists")) if peer.lists]
    with running(peers):
        comparison.measure_lists(measuring, peers)


#: The parts of a run in order. The minutes are those of a run on two cores; the estimate is made of them.
PARTS = {
    "transfers": Part(measure_transfers, in_memory=True, minutes=0.5, minutes_per_round=2.5),
    "requests": Part(measure_requests, in_memory=False, minutes=0.5, minutes_per_round=3.5),
    "lists": Part(measure_lists, in_memory=False, minutes=4, minutes_per_round=0.8),
}


def all_peers(folder: Path, database: str) -> list[Peer]:
    """Return Calotype and the other peers, with their data below the folder."""
    return [
        Calotype(folder / "calotype"),
        Glance(folder / "glance", database),
        Registry(folder / "registry"),
        Nginx(folder / "nginx"),
    ]


def read_options() -> argparse.Namespace:
    """Return the command line's options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="smaller and shorter: about two minutes")
    parser.add_argument("--add", action="store_true", help="add the run to those that the page shows")
    parser.add_argument(
        "--rewrite",
        action="store_true",
        help="measure nothing, and write the page of its runs again, after changes to bench/limits.toml",
    )
    parser.add_argument(
        "--only", nargs="+", choices=PARTS, default=list(PARTS), help="the parts to measure; default: all"
    )
    parser.add_argument("--rounds", type=int, metavar="N", help="rounds of each figure (4; quick: 1)")
    parser.add_argument("--dir", type=Path, help="a folder on a disk (the system's temporary folder)")
    parser.add_argument("--memory", type=Path, default=MEMORY, help=f"a folder in memory ({MEMORY})")
    parser.add_argument(
        "--page", type=Path, help="the page to write (docs/results/peers.md; quick, or some parts only: none)"
    )
    options = parser.parse_args()
    whole = not options.quick and options.only == list(PARTS)
    if not options.page and (options.rewrite or whole or (options.add and not options.quick)):
        options.page = PAGE
    if options.add and not options.page:
        parser.error("--add and --quick need --page")
    return options


if __name__ == "__main__":
    main()
