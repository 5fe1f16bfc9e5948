"""Measure Calotype's application under its own server, gunicorn and plain waitress, and write a page.

The page shows what the own server adds: speed, and other callers' response times during slow transfers.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import comparison
import peers_table
import serving
from comparison import Measuring
from figures import Figures, Row
from peers.other_servers import GUNICORN, WAITRESS, Gunicorn, OwnServer, Served, Waitress
from peers.peer import running
from rows import Sizes, rows
from testservers import common

from tests.support.results import RESULTS, machine, write_page

PAGE = RESULTS / "servers.md"
TITLE = "Calotype under other WSGI servers"
COMMAND = "make bench-servers"
NOTE = (
    "The same application with the same settings, on SQLite and files. [Operations](../operations.md"
    "#other-wsgi-servers) has the settings of gunicorn, and explains what is lost; "
    "[Performance](../performance.md#our-own-server) describes the rows. Our server and gunicorn have a "
    "process for each core and 16 threads in each; plain waitress has one process."
)
SERVERS = (OwnServer.name, GUNICORN, WAITRESS)
MEMORY = Path("/dev/shm")
#: The rows that are also measured beside other peers, by their keys.
SHARED = (
    *("upload", "uploads", "download", "downloads", "upload-cpu", "download-cpu"),
    *("create-1", "create-8", "show-1", "show-8", "create-cpu", "show-cpu", "pss", "memory"),
)
QUICK = Sizes(image=64 << 20, stream=16 << 20, few=0, many=0, most=0, readers=200, creators=(1, 8))
FULL = Sizes(image=1 << 30, stream=128 << 20, few=0, many=0, most=0, readers=200, creators=(1, 8))


def main() -> None:
    """Measure everything, and write the page."""
    options = read_options()
    measuring = (
        Measuring(Figures(), QUICK, rounds=options.rounds or 1, asked=80, seconds=1)
        if options.quick
        else Measuring(Figures(), FULL, rounds=options.rounds or 3, asked=1600, seconds=5)
    )
    found = all_rows(measuring.sizes)
    if not options.quick:
        print("This takes about 15 minutes on a quiet machine.", flush=True)
    with common.run_folder(options.memory) as folder:
        measure_in_memory(measuring, folder)
    with common.run_folder(options.dir) as folder:
        servers = all_servers(folder, measuring.sizes.image)
        with running(servers):
            comparison.measure_small(measuring, servers)
    heading = f"Medians of {measuring.rounds} rounds (least to most)."
    table = peers_table.figures_table(found, SERVERS, measuring.figures)
    print("\n\n".join([machine(), heading, table]))
    if options.page:
        write_page(options.page, TITLE, COMMAND, NOTE, heading, table)


def measure_in_memory(measuring: Measuring, folder: Path) -> None:
    """Measure transfers, slow clients, refusals, the end and headers."""
    sizes = measuring.sizes
    servers = all_servers(folder, sizes.image)
    image = comparison.big_content(folder / "image.raw", sizes.image)
    with running(servers):
        comparison.measure_streams(measuring, servers, [image])
        image.body.unlink()
        contents = [comparison.big_content(folder / f"{n}.raw", sizes.stream) for n in range(sizes.streams)]
        comparison.measure_streams(measuring, servers, contents)
        comparison.measure_pss(measuring, servers, contents)
        comparison.measure_refusals(measuring, servers)
        serving.measure_headers(measuring, servers)
        comparison.measure_memory(measuring, "memory", servers)
        serving.measure_slow_clients(measuring, servers)
        serving.measure_ends(measuring, servers)


def all_servers(folder: Path, cap: int) -> list[Served]:
    """Return the servers, with their data below the folder and this limit on the size of images."""
    return [
        OwnServer(folder / "own", cap),
        Gunicorn(folder / "gunicorn", cap),
        Waitress(folder / "waitress", cap),
    ]


def all_rows(sizes: Sizes) -> list[Row]:
    """Return the rows of the page in order."""
    by_key = {row.key: row for row in rows(sizes)}
    return [*(by_key[key] for key in SHARED), *own_rows(sizes)]


def own_rows(sizes: Sizes) -> list[Row]:
    """Return the rows that only this page has."""
    readers, senders = f"{sizes.readers} slow downloads", f"{serving.SENDERS} slow uploads"
    return [
        Row("p99-idle", "p99 of HEAD, nothing else", "ms", more=False, digits=1),
        Row("p99-readers", f"p99 of HEAD, {readers}", "ms", more=False, digits=1),
        Row("p99-senders", f"p99 of HEAD, {senders}", "ms", more=False, digits=1),
        Row("running", f"uploads that run, of {senders}", ""),
        Row("other-upload", f"upload of 1 MiB by another caller, {senders}", "ms", more=False),
        Row("pss-readers", f"PSS of all processes, {readers}", "MiB", more=False),
        Row("pss-senders", f"PSS of all processes, {senders}", "MiB", more=False),
        Row("refused", "answer to a body of one byte too many", "ms", more=False, digits=1),
        Row("refused-read", "of which were read", "MiB", more=False, digits=2),
        Row("drained", f"uploads of {serving.UPLOADS} that end well after SIGTERM", ""),
        Row("kept", "`x-image-meta-min_disk` sets the minimum (1: yes)", ""),
        Row("forged", "`X_Forwarded_For` passes for the proxy's header (1: yes)", "", more=False),
    ]


def read_options() -> argparse.Namespace:
    """Return the command line's options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller and shorter: about two minutes")
    parser.add_argument("--rounds", type=int, metavar="N", help="rounds of each figure (3; quick: 1)")
    parser.add_argument("--dir", type=Path, help="a folder on a disk (the system's temporary folder)")
    parser.add_argument("--memory", type=Path, default=MEMORY, help=f"a folder in memory ({MEMORY})")
    parser.add_argument("--page", type=Path, help="the page to write (docs/results/servers.md; quick: none)")
    options = parser.parse_args()
    if not options.quick and not options.page:
        options.page = PAGE
    return options


if __name__ == "__main__":
    main()
