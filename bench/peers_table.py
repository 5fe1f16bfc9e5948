"""The figures and goals of the peers as Markdown tables."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from figures import Figures, Goal, Row, Verdict
from runs import KEPT, Run

#: Stands for the cause until somebody has found it.
UNEXPLAINED = "The cause is not known yet."


@dataclass(frozen=True)
class Judged:
    """A goal of a row with the verdicts of the last `KEPT` runs that have measured it, by their names."""

    row: Row
    goal: Goal
    verdicts: Mapping[str, Verdict]

    @property
    def met(self) -> bool:
        """True if every run has met the goal."""
        return all(verdict.met for verdict in self.verdicts.values())

    @property
    def result(self) -> str:
        """The verdict of all runs."""
        if not self.verdicts:
            return "not measured"
        if self.met:
            return "met" if len(self.verdicts) == KEPT else "met so far"
        reached = sum(verdict.met for verdict in self.verdicts.values())
        return f"**not met**, {reached} of {len(self.verdicts)}" if reached else "**not met**"


def judge(rows: Sequence[Row], runs: Sequence[Run]) -> list[Judged]:
    """Return each goal of each row with its verdicts."""
    found = []
    for row in rows:
        for goal in row.goals:
            verdicts = {run.name: goal.judge(run.figures, row) for run in runs}
            measured = [(name, verdict) for name, verdict in verdicts.items() if verdict]
            found.append(Judged(row, goal, dict(measured[-KEPT:])))
    return found


def goals_table(goals: Sequence[Judged], runs: Sequence[Run]) -> str:
    """Return a table with the value that each run has reached."""
    names = [run.name for run in runs]
    lines = [_cells("what", "goal", *names, "result"), _cells("---", "---", *("---:" for _ in runs), "---")]
    for one in goals:
        reached = [_reached(one.verdicts.get(name)) for name in names]
        lines.append(_cells(one.row.what, one.goal.text, *reached, one.result))
    return "\n".join(lines)


def _reached(verdict: Verdict | None) -> str:
    if verdict is None:
        return "-"
    return verdict.reached if verdict.met else f"**{verdict.reached}**"


def missing_runs(goals: Sequence[Judged]) -> str:
    """Return sentences that name the rows with fewer than `KEPT` runs."""
    by_count: dict[int, list[str]] = {}
    for one in goals:
        by_count.setdefault(len(one.verdicts), []).append(one.row.what)
    short = {count: list(dict.fromkeys(names)) for count, names in by_count.items() if count < KEPT}
    if not short:
        return f"Each goal has {KEPT} runs."
    if len(by_count) == 1:
        return f"Each goal has {next(iter(short))} of {KEPT} runs."
    return " ".join(f"With {count} of {KEPT} runs: {'; '.join(short[count])}." for count in sorted(short))


def limits_list(goals: Sequence[Judged], limits: Mapping[str, str]) -> str:
    """Return a list of the rows that miss a goal in any run, with the sentences about their limits."""
    rows = {one.row.key: one.row.what for one in goals if not one.met}
    lines = [f"- {what}: {limits.get(key) or UNEXPLAINED}" for key, what in rows.items()]
    return "\n".join(lines) or "Every run has met every goal."


def figures_table(rows: Sequence[Row], peers: Sequence[str], figures: Figures) -> str:
    """Return a table of medians with minimum and maximum. Rows that no peer has measured are left out."""
    lines = [_cells("what", *peers), _cells("---", *("---:" for _ in peers))]
    for row in rows:
        if any(figures.rounds(row.key, peer) for peer in peers):
            unit = f", {row.unit}" if row.unit else ""
            lines.append(_cells(row.what + unit, *(_figure(row, peer, figures) for peer in peers)))
    return "\n".join(lines)


def table(rows: Sequence[Row], columns: Mapping[str, str], figures: Figures) -> str:
    """Return a table like `figures_table`, with the goals and their verdicts in the last column.

    `columns` has the heading of each peer.
    """
    lines = [
        _cells("what", *columns.values(), "goals"),
        _cells("---", *("---:" for _ in columns), "---"),
    ]
    for row in rows:
        unit = f", {row.unit}" if row.unit else ""
        goals = "; ".join(_verdict(goal, row, figures) for goal in row.goals)
        lines.append(_cells(row.what + unit, *(_figure(row, peer, figures) for peer in columns), goals))
    return "\n".join(lines)


def _verdict(goal: Goal, row: Row, figures: Figures) -> str:
    verdict = goal.judge(figures, row)
    if verdict is None:
        return f"{goal.text}: not measured"
    return f"{goal.text}: {verdict.reached}, {'met' if verdict.met else '**not met**'}"


def _cells(*texts: str) -> str:
    return f"| {' | '.join(texts)} |"


def _figure(row: Row, peer: str, figures: Figures) -> str:
    rounds, median = figures.rounds(row.key, peer), figures.median(row.key, peer)
    if median is None:
        return "-"
    if math.isinf(median):
        return "fails"
    return f"{_number(row, median)} ({_number(row, min(rounds))} to {_number(row, max(rounds))})"


def _number(row: Row, figure: float) -> str:
    return f"{figure:,.{row.digits}f}"
