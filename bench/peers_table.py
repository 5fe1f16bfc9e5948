"""The figures of all peers as a Markdown table."""

from __future__ import annotations

from collections.abc import Sequence

from figures import Figures, Goal, Row


def table(rows: Sequence[Row], peers: Sequence[str], figures: Figures) -> str:
    """Return the table. Each row has medians with minimum and maximum, then the goals and their results."""
    lines = [
        f"| what | {' | '.join(peers)} | goals |",
        f"| --- |{' ---: |' * len(peers)} --- |",
    ]
    for row in rows:
        unit = f", {row.unit}" if row.unit else ""
        cells = [_cell(row, figures.rounds(row.key, peer), figures.median(row.key, peer)) for peer in peers]
        goals = "; ".join(_judged(goal, row, figures) for goal in row.goals)
        lines.append(f"| {row.what}{unit} | {' | '.join(cells)} | {goals} |")
    return "\n".join(lines)


def _cell(row: Row, rounds: list[float], median: float | None) -> str:
    if median is None:
        return "-"
    return f"{_number(row, median)} ({_number(row, min(rounds))} to {_number(row, max(rounds))})"


def _judged(goal: Goal, row: Row, figures: Figures) -> str:
    verdict = goal.judge(figures, row)
    if verdict is None:
        return f"{goal.text}: not measured"
    return f"{goal.text}: {verdict.reached}, {'met' if verdict.met else '**not met**'}"


def _number(row: Row, figure: float) -> str:
    return f"{figure:,.{row.digits}f}"
