"""Run the drivers that are broken on purpose: each must fail the case that is named for its mistake.

The tables `CAUGHT_BY` of core/tests/testing/test_kit*.py name the cases. A table has the drivers of the
module `SABOTAGED`, or the drivers of several modules by the modules' names.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from core.tests.testing.test_kit import ISOLATED
from tests.mutants.engine import TEST_PATIENCE, Outcome, failures, run
from tests.mutants.table import ROOT

FOLDER = Path("core/tests/testing")
#: pytest's options: the kit runs as for a stranger, and a sabotaged driver may leave threads that fail.
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
    """Run the case of each broken driver in a copy of the project, and print those that pass."""
    results = [_tried(driver, tree) for driver in all_drivers()]
    for one in results:
        if one.outcome is not Outcome.CAUGHT:
            print(f"{one.outcome.value:9} {one.module.stem} {one.driver}: {one.case}", flush=True)
    return results


def _tried(driver: Sabotaged, tree: Path) -> Sabotaged:
    done = run(tree, [f"{driver.module}::Test{driver.driver}::{driver.case}"], OPTIONS)
    if done.status not in (0, 1):
        return driver
    caught = driver.case in failures(done.report)
    return Sabotaged(
        driver.module, driver.driver, driver.case, Outcome.CAUGHT if caught else Outcome.SURVIVED
    )
