"""Measure curves: over the numbers of processes and connections, and over the number of images.

Each point is kept in a file as soon as it is measured. The next run continues with those that are missing.
"""

from __future__ import annotations

import argparse
import datetime
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from growing import page
from growing.catalogues import measure_catalogues
from growing.loads import measure_loads
from growing.plan import FULL, QUICK, Plan
from growing.points import Point, Points
from testservers import common

from server import ROOT
from tests.support.results import RESULTS, commit, write_page

STATE = ROOT / "var" / "growth.json"
PAGE = RESULTS / "growth.md"


def main() -> None:
    """Measure the points that are missing, and write the page from all points."""
    options = _read_options()
    plan = QUICK if options.quick else FULL
    points = Points(None if options.quick else options.state)
    wanted = _choice(points, options.only, options.most)
    with common.run_folder(options.dir) as folder:
        for name, figures in _measured(plan, folder, wanted):
            print(name, {what: round(figure, 2) for what, figure in figures.items()}, file=sys.stderr)
            date = f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}"
            points.add(name, Point(date, commit(), os.getloadavg()[0], figures))
    _publish(plan, points, None if options.quick else options.page)


def _choice(points: Points, only: Sequence[str], most: int) -> Callable[[str], bool]:
    """Return a function that returns whether a point of this name is to be measured."""

    def wanted(name: str) -> bool:
        kind, number, _ = words = name.split()
        if name in points or not set(only) <= set(words):
            return False
        return kind == "load" or int(number) <= most

    return wanted


def _measured(
    plan: Plan, folder: Path, wanted: Callable[[str], bool]
) -> Iterator[tuple[str, dict[str, float]]]:
    yield from measure_loads(plan, folder, wanted)
    yield from measure_catalogues(plan, folder, wanted)


def _publish(plan: Plan, points: Points, target: Path | None) -> None:
    """Print the page. If there is a target, write the page and its charts."""
    found = page.parts(plan, points, (target or PAGE).stem)
    print("\n\n".join(found))
    charts = page.charts(plan, points)
    if target:
        write_page(target, "Growth", "make bench-growth", *found)
        for end, chart in charts.items():
            target.with_name(f"{target.stem}-{end}.svg").write_text(chart)


def _read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few images and connections; only prints")
    parser.add_argument(
        "--state", type=Path, default=STATE, help="the file with the points (var/growth.json)"
    )
    parser.add_argument("--dir", type=Path, default=Path(tempfile.gettempdir()), help="a folder on a disk")
    parser.add_argument("--page", type=Path, default=PAGE, help="the page to write (docs/results/growth.md)")
    help_only = "measure only the points whose names have all these words, such as: sqlite reads"
    parser.add_argument("--only", nargs="+", default=(), metavar="WORD", help=help_only)
    help_most = "measure no catalogue with more images (10 million need 12 GB on the disk)"
    parser.add_argument("--most", type=int, default=max(FULL.counts), metavar="N", help=help_most)
    return parser.parse_args()


if __name__ == "__main__":
    main()
