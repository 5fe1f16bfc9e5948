"""Measure Calotype on this machine and print a table, without asserting anything.

Each figure is the median of several rounds. Rounds that are compared alternate, so that a slowdown of the
machine affects all of them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from catalogue import measure_lists
from dialects import measure_dialects
from report import Report
from requests_per_second import measure_requests
from stores import measure_stores
from testservers import common
from transfers import measure_transfers

from server import Server


def main() -> None:
    """Run all measurements in order, and print the report."""
    options = read_options()
    report = Report()
    with common.run_folder(options.dir) as folder:
        with Server(folder / "transfers") as server:
            idle = server.peak_memory()
            measure_transfers(report, server, folder, size=options.size << 20, rounds=options.rounds)
            after_transfers = server.peak_memory()
            measure_requests(report, server, asked=options.asked, rounds=options.rounds)
            report.memory(idle, after_transfers, server.peak_memory())
        measure_stores(report, folder / "stores", options.unknown << 20)
        measure_lists(report, folder / "lists", counts=(1_000, options.images), rounds=options.rounds)
        measure_dialects(report, folder / "dialects", options.images, options.asked, options.rounds)
    report.show()


def read_options() -> argparse.Namespace:
    """Return the command line's options, with the values of --quick."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller and shorter: some minutes in all")
    parser.add_argument("--size", type=int, metavar="MIB", help="size of the image (1024; quick: 128)")
    parser.add_argument(
        "--images", type=int, metavar="N", help="images in the long list (100000; quick: 20000)"
    )
    parser.add_argument("--rounds", type=int, metavar="N", help="rounds of each figure (5; quick: 3)")
    parser.add_argument("--asked", type=int, metavar="N", help="requests in a round (1000; quick: 200)")
    parser.add_argument("--dir", type=Path, help="the folder for the files (the system's temporary folder)")
    options = parser.parse_args()
    quick = options.quick
    options.size = options.size or (128 if quick else 1024)
    options.images = options.images or (20_000 if quick else 100_000)
    options.rounds = options.rounds or (3 if quick else 5)
    options.unknown = 2048 if quick else 10_240
    options.asked = options.asked or (200 if quick else 1000)
    return options


if __name__ == "__main__":
    main()
