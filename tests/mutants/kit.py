"""Prove the conformance kit: sabotaged drivers and random mutants of good drivers must fail it.

    python -m tests.mutants.kit [--seed N] [--count N] [WORD ...]      words: sabotaged, file, webdav

- Each sabotaged driver of core/tests/testing must fail the case that its table names.
- `--count` random changes (mutator.py) of each good driver must make the driver's run of the kit fail. If a
  change survives, the driver's own tests run, and survivors.toml must say why the kit cannot see the change.

A run of everything writes docs/results/kit-mutants.md. The exit status is 1 if a sabotaged driver passes its
case, or if the kit catches less than 95 % of the changes that it can see.
"""

from __future__ import annotations

import argparse
import dataclasses
import random
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.mutants import kit_page, sabotaged
from tests.mutants.engine import Copies, Outcome, Result, copies, run, try_out
from tests.mutants.mutator import Spot, spots
from tests.mutants.survivors import Judged, load, reason_for
from tests.mutants.table import ROOT, Mutant
from tests.support.results import RESULTS, write_page

#: The mutants of each driver in a run that may write the page.
COUNT = 40
#: The score in percent below which a run has failed.
GOAL = 95


@dataclass(frozen=True)
class Driver:
    """A driver whose code is changed: the folder of its sources, its run of the kit, and its own tests."""

    name: str
    sources: str
    kit: tuple[str, ...]
    tests: tuple[str, ...]

    def spots(self) -> list[Spot]:
        """Return every change of the driver."""
        files = sorted((ROOT / self.sources).rglob("*.py"))
        return [spot for file in files for spot in spots(ROOT, str(file.relative_to(ROOT)))]


_FILE, _WEBDAV = "plugins/store_file/tests", "tests/third_party/calotype-store-webdav/tests"
DRIVERS = (
    Driver(
        "file",
        "plugins/store_file/src",
        (
            f"{_FILE}/test_conformance.py::TestFileStore",
            f"{_FILE}/test_conformance.py::TestFileStoreWithoutUnnamedFiles",
        ),
        (f"{_FILE}/test_file.py", f"{_FILE}/test_room.py", f"{_FILE}/test_unfinished.py"),
    ),
    Driver(
        "webdav",
        "tests/third_party/calotype-store-webdav/src",
        (f"{_WEBDAV}/test_conformance.py::TestWebdavStore",),
        (f"{_WEBDAV}/test_failures.py", f"{_WEBDAV}/test_quota.py"),
    ),
)


def main(arguments: Sequence[str]) -> int:
    """Run the campaign, print its page, and return the exit status."""
    asked, began = _options(arguments), time.monotonic()
    wanted = set(asked.words) or {"sabotaged", *(driver.name for driver in DRIVERS)}
    with copies(1) as trees:
        broken = sabotaged.run_all(trees.queue[0]) if "sabotaged" in wanted else []
        judged = {
            driver.name: list(judge(driver, trees, chosen(driver, asked.seed, asked.count)))
            for driver in DRIVERS
            if driver.name in wanted
        }
    parts = kit_page.parts(broken, judged, asked.seed, round(time.monotonic() - began))
    if not asked.words and asked.count >= COUNT:
        write_page(RESULTS / "kit-mutants.md", "Mutants and the conformance kit", "make kit-mutants", *parts)
    print("\n", "\n\n".join(parts), sep="")
    missed = [one for one in broken if one.outcome is not Outcome.CAUGHT]
    return 1 if missed or any(kit_page.score(results) < GOAL for results in judged.values()) else 0


def chosen(driver: Driver, seed: int, count: int) -> list[Spot]:
    """Return the random changes of a seed, which are the same for the same code."""
    found = driver.spots()
    return random.Random(seed).sample(found, min(count, len(found)))


def judge(driver: Driver, trees: Copies, changes: Sequence[Spot]) -> Iterator[Judged]:
    """Run the kit for each change, and the driver's own tests for each change that survives it.

    Raises:
        SystemExit: the kit or the driver's own tests fail for the unchanged driver.
    """
    print(f"{driver.name}: the unchanged driver", flush=True)
    unchanged = run(trees.queue[0], [*driver.kit, *driver.tests])
    if unchanged.status:
        raise SystemExit(unchanged.printed)
    table = load()
    for spot in changes:
        mutant = Mutant(f"{spot.file}:{spot.line} {spot.change}", driver.kit[0], (spot,), driver.kit[1:])
        result = try_out(mutant, trees, errors_count=True)
        _print(result)
        if result.outcome is not Outcome.SURVIVED:
            yield Judged(spot, result.outcome, result.failed)
            continue
        test, *more_tests = driver.tests
        by_own = dataclasses.replace(mutant, test=test, more_tests=tuple(more_tests))
        own = try_out(by_own, trees, errors_count=True)
        _print(own)
        yield Judged(spot, result.outcome, own.failed, reason_for(spot, table))


def _print(result: Result) -> None:
    """Print the outcome of a change under the kit, or under the driver's own tests."""
    name = f"{result.mutant.id} ({result.seconds:.0f} s): {result.failed or result.mutant.test}"
    print(f"{result.outcome.value:9} {name}", flush=True)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants.kit")
    parser.add_argument("words", nargs="*", metavar="WORD", help="sabotaged, file or webdav: only these")
    parser.add_argument("--seed", type=int, default=1, help="the choice of random mutants")
    parser.add_argument("--count", type=int, default=COUNT, help="random mutants of each driver")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
