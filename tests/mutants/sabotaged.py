"""Run the drivers that are broken on purpose: each must fail the case that is named for its mistake.

The tables `CAUGHT_BY` of core/tests/testing/test_kit*.py name the cases. The keys of a table are drivers in
the module `SABOTAGED`, or names of modules, each with a table of its own drivers.
"""

from __future__ import annotations

import dataclasses
import importlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from core.tests.testing.test_kit import ISOLATED
from tests.mutants.engine import TEST_PATIENCE, Outcome, run
from tests.mutants.table import ROOT

FOLDER = Path("core/tests/testing")
#: pytest's options: the kit runs as in another project, and sabotaged drivers may leave threads that fail.
OPTIONS = (
    *ISOLATED,
    *("-W", "ignore::pytest.PytestUnhandledThreadExceptionWarning"),
    *("-q", "--tb=no", "--timeout", str(TEST_PATIENCE)),
)


@dataclass(frozen=True)
class Sabotaged:
    """A broken driver of a module, the case that must fail, and the outcome."""

    module: Path
    driver: str
    case: str
    outcome: Outcome = Outcome.BROKEN


def all_drivers() -> list[Sabotaged]:
    """Return the broken drivers of all tables, sorted by their modules."""
    tables = [path.stem for path in sorted((ROOT / FOLDER).glob("test_kit*.py"))]
    return [driver for name in tables for driver in _drivers_of(name)]


def _drivers_of(name: str) -> Iterator[Sabotaged]:
    tests = importlib.import_module(".".join([*FOLDER.parts, name]))
    for key, value in tests.CAUGHT_BY.items():
        if isinstance(value, str):
            yield Sabotaged(tests.SABOTAGED.relative_to(ROOT), key, value)
        else:
            (module,) = (ROOT / FOLDER).rglob(f"{key}.py")
            for driver, case in value.items():
                yield Sabotaged(module.relative_to(ROOT), driver, case)


def run_all(tree: Path) -> list[Sabotaged]:
    """Run the cases of all broken drivers in a copy of the project, and print those that pass."""
    by_module = itertools.groupby(all_drivers(), key=lambda driver: driver.module)
    results = [result for _, drivers in by_module for result in _tried(list(drivers), tree)]
    for one in results:
        if one.outcome is not Outcome.CAUGHT:
            print(f"{one.outcome.value:9} {one.module.stem}: {one.driver}: {one.case}", flush=True)
    return results


def _tried(drivers: list[Sabotaged], tree: Path) -> list[Sabotaged]:
    """Run the cases of one module's drivers together, and each alone if that run did not reach its end."""
    done = run(tree, [f"{one.module}::Test{one.driver}::{one.case}" for one in drivers], OPTIONS)
    if done.status not in (0, 1):
        return [result for one in drivers for result in _tried([one], tree)] if len(drivers) > 1 else drivers
    failed = failed_cases(done.report)
    print(f"{drivers[0].module}: {len(drivers)} drivers", flush=True)
    return [
        dataclasses.replace(
            one,
            outcome=Outcome.CAUGHT if f"Test{one.driver}::{one.case}" in failed else Outcome.SURVIVED,
        )
        for one in drivers
    ]


def failed_cases(report: Path) -> set[str]:
    """Return the failed cases as "TestDRIVER::CASE", each once with its parameters and once without.

    An error in the teardown of a case does not count as a failure.
    """
    names = [
        f"{case.get('classname', '').rpartition('.')[2]}::{case.get('name', '')}"
        for case in ElementTree.parse(report).iter("testcase")
        if case.find("failure") is not None
    ]
    return {*names, *(name.partition("[")[0] for name in names)}
