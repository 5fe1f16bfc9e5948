"""The table of a campaign in docs/results/faults.md: the number of faults by kind and database."""

from __future__ import annotations

from collections.abc import Sequence

from tests.faults.campaign.databases import NAMES
from tests.faults.campaign.killing import Tally

_TITLES = {"sqlite": "SQLite", "postgres": "PostgreSQL", "mariadb": "MariaDB"}


def markdown(tallies: Sequence[Tally]) -> str:
    """Return a table with a row for each kind of fault, a column for each database, and the violations."""
    rows = [["what happened", *(_TITLES[name] for name in NAMES), "violations"], ["---"] * (len(NAMES) + 2)]
    for phase in dict.fromkeys(tally.phase for tally in tallies):
        rows.append(_row(phase, [tally for tally in tallies if tally.phase == phase]))
    rows.append(_row("**together**", tallies))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _row(title: str, tallies: Sequence[Tally]) -> list[str]:
    times = [sum(tally.times for tally in tallies if tally.database == name) for name in NAMES]
    return [
        title,
        *(str(number or "-") for number in times),
        str(sum(len(one.violations) for one in tallies)),
    ]
