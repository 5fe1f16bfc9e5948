"""Make each change of the list in a copy of the project, and run the test that must fail.

    python -m tests.mutants [WORD ...]      only the mutants whose names contain one of the words

First, all these tests run on the unchanged code, where they must pass. A run of all mutants writes
docs/results/mutants.md. The exit status is 1 if a mutant survives, if its text is no longer in the file, or
if its test could not run.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from tests.mutants.engine import Outcome, Result, copies, run, run_all
from tests.mutants.table import Mutant, load, rows_of, rows_with_a_test
from tests.support.results import RESULTS, write_page


def main(words: Sequence[str]) -> int:
    """Run the mutants, print a table, and return the exit status."""
    began = time.monotonic()
    mutants = [mutant for mutant in load() if not words or any(word in mutant.id for word in words)]
    with copies() as trees:
        tests = sorted({mutant.test for mutant in mutants})
        print(f"{len(tests)} tests on the unchanged code", flush=True)
        unchanged = run(trees.queue[0], tests)
        if unchanged.status:
            print(unchanged.printed)
            return 1
        results = list(run_all(mutants, trees))
    if not words:
        summary, table = page_of(results, time.monotonic() - began)
        page = (summary, rows_without(mutants), table)
        write_page(RESULTS / "mutants.md", "The mutants", "make mutants", *page)
    return report(results)


def rows_without(mutants: Sequence[Mutant]) -> str:
    """Return a sentence that names the rows of docs/security.md whose test no mutant tries."""
    tried = {row for mutant in mutants for row in rows_of(mutant)}
    rows = rows_with_a_test()
    missing = [row for row in rows if row not in tried]
    if not missing:
        return f"Each of the {len(rows)} rows of the threat catalogue that name a test has a mutant."
    return (
        f"{len(missing)} of the {len(rows)} rows of the threat catalogue that name a test have no mutant: "
        f"{', '.join(missing)}."
    )


def page_of(results: Sequence[Result], seconds: float) -> tuple[str, str]:
    """Return the summary and the table of the page, sorted by the mutants' names. The run took `seconds`."""
    caught = sum(result.outcome is Outcome.CAUGHT for result in results)
    rows = [
        f"| {one.mutant.id} | {one.outcome.value} | {one.seconds:.0f} | `{one.mutant.test}` |"
        for one in sorted(results, key=lambda result: result.mutant.id)
    ]
    table = "\n".join(["| mutant | outcome | seconds | test |", "| --- | --- | --- | --- |", *rows])
    return f"{caught} of {len(results)} mutants were caught. The run took {seconds / 60:.0f} minutes.", table


def report(results: Sequence[Result]) -> int:
    """Print the mutants that were not noticed, and a summary, and return the exit status."""
    bad = [result for result in results if result.outcome is not Outcome.CAUGHT]
    for result in bad:
        print(f"\n{result.outcome.value} {result.mutant.id}: {result.mutant.test}\n{result.printed[-3000:]}")
    print(f"\n{len(results) - len(bad)} of {len(results)} mutants caught")
    return 1 if bad or not results else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
