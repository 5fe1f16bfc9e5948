"""Make each change of the list in a copy of the project, and run the test that must fail.

    python -m tests.mutants [WORD ...]      only the mutants whose names contain one of the words

First, all these tests run on the unchanged code, where they must pass. A run of all mutants writes
docs/results/mutants.md. The exit status is 1 if a mutant survives, if its text is no longer in the file, or
if its test could not run.
"""

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
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from tests.mutants.table import ROOT, Mutant, load
from tests.support.results import RESULTS, write_page

#: How many mutants run at a time, each in its own copy.
AT_ONCE = 2
#: Timeouts in seconds. A test that exceeds the first has failed, because a mutant may make it wait forever. A
#: run that exceeds the second is broken.
TEST_PATIENCE = 150
PATIENCE = 900


class Outcome(enum.Enum):
    """The outcome of a mutant."""

    CAUGHT = "caught"
    SURVIVED = "SURVIVED"
    BROKEN = "BROKEN"


@dataclass(frozen=True)
class Result:
    """A mutant's outcome, its time in seconds, and the output of the test."""

    mutant: Mutant
    outcome: Outcome
    seconds: float
    printed: str


def main(words: Sequence[str]) -> int:
    """Run the mutants, print a table, and return the exit status."""
    mutants = [mutant for mutant in load() if not words or any(word in mutant.id for word in words)]
    with tempfile.TemporaryDirectory(prefix="calotype-mutants-") as folder:
        trees: queue.Queue[Path] = queue.Queue()
        for number in range(AT_ONCE):
            trees.put(copy_of_the_project(Path(folder) / str(number)))
        tests = sorted({mutant.test for mutant in mutants})
        print(f"{len(tests)} tests on the unchanged code", flush=True)
        status, printed = run(trees.queue[0], tests)
        if status:
            print(printed)
            return 1
        results = list(run_all(mutants, trees))
    if not words:
        write_page(RESULTS / "mutants.md", "The mutants", "make mutants", *page_of(results))
    return report(results)


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
    return to


def run_all(mutants: Sequence[Mutant], trees: queue.Queue[Path]) -> Iterator[Result]:
    """Run as many mutants at a time as there are copies, and print each result."""
    with ThreadPoolExecutor(trees.qsize()) as pool:
        for done in as_completed(pool.submit(try_out, mutant, trees) for mutant in mutants):
            result = done.result()
            print(f"{result.outcome.value:9} {result.mutant.id} ({result.seconds:.0f} s)", flush=True)
            yield result


def try_out(mutant: Mutant, trees: queue.Queue[Path]) -> Result:
    """Change a copy, run the mutant's test in it, and restore the copy."""
    tree, began = trees.get(), time.monotonic()
    try:
        with changed(tree, mutant):
            status, printed = run(tree, [mutant.test])
            outcome = outcome_of(status, tree / "report.xml")
    except ValueError as error:
        outcome, printed = Outcome.BROKEN, str(error)
    finally:
        trees.put(tree)
    return Result(mutant, outcome, time.monotonic() - began, printed)


@contextlib.contextmanager
def changed(tree: Path, mutant: Mutant) -> Iterator[None]:
    """Make the mutant's changes in the copy for the block, and undo them after it."""
    files = {edit.file for edit in mutant.edits}
    try:
        for edit in mutant.edits:
            edit.apply(tree)
        yield
    finally:
        for file in files:
            shutil.copy2(ROOT / file, tree / file)


def run(tree: Path, tests: Sequence[str]) -> tuple[int, str]:
    """Run tests of a copy with the copy's own code, and return pytest's exit status and output."""
    sources = [tree / "core/src", tree / "server/src", *sorted(tree.glob("plugins/*/src"))]
    # Python could use the bytecode of the unchanged file for the changed one.
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, sources)), "PYTHONDONTWRITEBYTECODE": "1"}
    report = tree / "report.xml"
    report.unlink(missing_ok=True)
    options = ["-q", "-x", "-p", "no:cacheprovider", "-m", "", "--timeout", str(TEST_PATIENCE)]
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *options, f"--junitxml={report}", *tests],
            cwd=tree,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
        )
    except subprocess.TimeoutExpired:
        return 2, f"it took more than {PATIENCE} seconds"
    return done.returncode, done.stdout


def outcome_of(status: int, report: Path) -> Outcome:
    """Return the outcome of a run. Only a failed test notices a mutant; an error in its set-up does not."""
    if status == 0:
        return Outcome.SURVIVED
    if status != 1 or not report.exists():
        return Outcome.BROKEN
    suites = ElementTree.parse(report).getroot().iter("testsuite")
    failed = sum(int(suite.get("failures", "0")) for suite in suites)
    return Outcome.CAUGHT if failed else Outcome.BROKEN


def page_of(results: Sequence[Result]) -> tuple[str, str]:
    """Return the summary and the table of the page, sorted by the mutants' names."""
    caught = sum(result.outcome is Outcome.CAUGHT for result in results)
    rows = [
        f"| {one.mutant.id} | {one.outcome.value} | `{one.mutant.test}` |"
        for one in sorted(results, key=lambda result: result.mutant.id)
    ]
    table = "\n".join(["| mutant | outcome | test |", "| --- | --- | --- |", *rows])
    return f"{caught} of {len(results)} mutants were caught.", table


def report(results: Sequence[Result]) -> int:
    """Print the mutants that were not noticed, and a summary, and return the exit status."""
    bad = [result for result in results if result.outcome is not Outcome.CAUGHT]
    for result in bad:
        print(f"\n{result.outcome.value} {result.mutant.id}: {result.mutant.test}\n{result.printed[-3000:]}")
    print(f"\n{len(results) - len(bad)} of {len(results)} mutants caught")
    return 1 if bad or not results else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
