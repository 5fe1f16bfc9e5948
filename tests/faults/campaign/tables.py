"""The table of a campaign, as docs/results/faults.md shows it: how often what happened where."""

from __future__ import annotations

from collections.abc import Sequence

from tests.faults.campaign.databases import NAMES
from tests.faults.campaign.killing import Tally

_TITLES = {"sqlite": "SQLite", "postgres": "PostgreSQL", "mariadb": "MariaDB"}


def markdown(tallies: Sequence[Tally]) -> str:
    """A row for each kind of fault, a column for each database, and the violations."""
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
