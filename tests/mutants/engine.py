"""The engine of both campaigns: copy the project, change the copy, run tests there, and judge the outcome."""

from __future__ import annotations

import contextlib
import enum
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from tests.mutants.table import ROOT, Mutant

#: How many mutants run at a time, each in its own copy.
AT_ONCE = 2
#: Timeouts in seconds. A test that exceeds the first has failed, because a mutant may make it wait forever. A
#: run that exceeds the second is broken.
TEST_PATIENCE = 150
PATIENCE = 900
#: pytest's options for one mutant: the first failure ends the run, and no mark deselects a test.
OPTIONS = ("-q", "-x", "-p", "no:cacheprovider", "-m", "", "--timeout", str(TEST_PATIENCE))
#: A queue of the copies that no mutant uses at the moment.
Copies = queue.Queue[Path]


class Outcome(enum.Enum):
    """The outcome of a mutant."""

    CAUGHT = "caught"
    SURVIVED = "SURVIVED"
    BROKEN = "BROKEN"


@dataclass(frozen=True)
class Run:
    """A run of pytest in a copy: its exit status, its output, and its report, which may be missing."""

    status: int
    printed: str
    report: Path


@dataclass(frozen=True)
class Result:
    """A mutant's outcome, its time in seconds, the output of the test, and the first test that failed."""

    mutant: Mutant
    outcome: Outcome
    seconds: float
    printed: str
    failed: str = ""


@contextlib.contextmanager
def copies(count: int = AT_ONCE) -> Iterator[Copies]:
    """Make copies of the project, which are removed after the block."""
    with tempfile.TemporaryDirectory(prefix="calotype-mutants-") as folder:
        trees = Copies()
        for number in range(count):
            trees.put(copy_of_the_project(Path(folder) / str(number)))
        yield trees


def copy_of_the_project(to: Path) -> Path:
    """Copy the files that git tracks, and the untracked files that it does not ignore."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name)
    # Python compares hashes, not times, before it uses this bytecode, so it never uses it for a changed file.
    subprocess.run(
        [sys.executable, "-m", "compileall", "-q", "--invalidation-mode", "checked-hash", str(to)], check=True
    )
    return to


def run_all(mutants: Iterable[Mutant], trees: Copies) -> Iterator[Result]:
    """Run as many mutants at a time as there are copies, and print each result."""
    with ThreadPoolExecutor(trees.qsize()) as pool:
        trials = [pool.submit(try_out, mutant, trees) for mutant in mutants]
        for done in as_completed(trials):
            result = done.result()
            print(f"{result.outcome.value:9} {result.mutant.id} ({result.seconds:.0f} s)", flush=True)
            yield result


def try_out(mutant: Mutant, trees: Copies, *, errors_count: bool = False) -> Result:
    """Change a copy, run the mutant's test in it, and restore the copy."""
    tree, began, failed = trees.get(), time.monotonic(), ""
    try:
        with changed(tree, mutant):
            done = run(tree, [mutant.test, *mutant.more_tests])
            outcome, printed = outcome_of(done.status, done.report, errors_count=errors_count), done.printed
            failed = next(iter(failures(done.report)), "")
    except ValueError as error:
        outcome, printed = Outcome.BROKEN, str(error)
    finally:
        trees.put(tree)
    return Result(mutant, outcome, time.monotonic() - began, printed, failed)


@contextlib.contextmanager
def changed(tree: Path, mutant: Mutant) -> Iterator[None]:
    """Make the mutant's changes in the copy for the block, and undo them after it."""
    before = {path: path.read_bytes() for path in {tree / edit.file for edit in mutant.edits}}
    try:
        for edit in mutant.edits:
            edit.apply(tree)
        yield
    finally:
        for path, content in before.items():
            path.write_bytes(content)


def run(tree: Path, tests: Sequence[str], options: Sequence[str] = OPTIONS) -> Run:
    """Run tests of a copy with the copy's own code."""
    parts = ("core", "server", "client", "plugins/*")
    sources = [tree, *(source for part in parts for source in sorted(tree.glob(f"{part}/src")))]
    # Python could later use the bytecode of the changed file for the unchanged one.
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, sources)), "PYTHONDONTWRITEBYTECODE": "1"}
    report = tree / "report.xml"
    report.unlink(missing_ok=True)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *options, f"--junitxml={report}", *tests],
            cwd=tree,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=PATIENCE,
        )
    except subprocess.TimeoutExpired:
        return Run(2, f"it took more than {PATIENCE} seconds", report)
    return Run(done.returncode, done.stdout, report)


def outcome_of(status: int, report: Path, *, errors_count: bool = False) -> Outcome:
    """Return the outcome of a run.

    For a guard, only a failed test notices the mutant; an error in a test's set-up does not. For a driver,
    errors count (`errors_count`), because the kit creates the store in the set-up, and looks for leftovers
    after the test.
    """
    if status == 0:
        return Outcome.SURVIVED
    if status != 1 or not report.exists():
        return Outcome.BROKEN
    kinds = ("failures", "errors") if errors_count else ("failures",)
    suites = list(ElementTree.parse(report).getroot().iter("testsuite"))
    noticed = sum(int(suite.get(kind, "0")) for suite in suites for kind in kinds)
    return Outcome.CAUGHT if noticed else Outcome.BROKEN


def failures(report: Path) -> list[str]:
    """Return the names of the tests that failed, or that had an error, without their parameters."""
    if not report.exists():
        return []
    cases = ElementTree.parse(report).getroot().iter("testcase")
    bad = (case for case in cases if case.find("failure") is not None or case.find("error") is not None)
    return list(dict.fromkeys(case.get("name", "").partition("[")[0] for case in bad))
