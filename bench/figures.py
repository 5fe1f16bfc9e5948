"""What was measured, by row and by whom; and what was to be reached."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

#: Whom the goals are for.
US = "Calotype"


class Figures:
    """The rounds of each figure."""

    def __init__(self) -> None:
        self._rounds: dict[tuple[str, str], list[float]] = defaultdict(list)

    def add(self, row: str, who: str, figure: float) -> None:
        """One round's figure."""
        self._rounds[row, who].append(figure)

    def rounds(self, row: str, who: str) -> list[float]:
        """All rounds, in order; none if it was not measured."""
        return self._rounds.get((row, who), [])

    def median(self, row: str, who: str) -> float | None:
        """The figure of a row."""
        rounds = self.rounds(row, who)
        return median(rounds) if rounds else None


@dataclass(frozen=True)
class Verdict:
    """What came of a goal: in the goal's own measure, and whether that is enough."""

    reached: str
    met: bool


@dataclass(frozen=True)
class Goal:
    """Something that our figure is to reach."""

    text: str
    judge: Callable[[Figures, Row], Verdict | None]


@dataclass(frozen=True)
class Row:
    """A line of the table."""

    key: str
    what: str
    unit: str
    goals: tuple[Goal, ...] = ()
    #: Whether more is better.
    more: bool = True
    digits: int = 0


def times(factor: float, who: str, row: str | None = None, name: str | None = None) -> Goal:
    """So many times as good as somebody in the same row, or in another."""

    def judge(figures: Figures, own: Row) -> Verdict | None:
        ours, theirs = figures.median(own.key, US), figures.median(row or own.key, who)
        if not ours or not theirs:
            return None
        ratio = ours / theirs if own.more else theirs / ours
        return Verdict(f"{ratio:.2f}", ratio >= factor)

    return Goal(f"≥ {factor:g} times {name or who}", judge)


def at_most(limit: float) -> Goal:
    """No more than that, in the row's unit."""

    def judge(figures: Figures, own: Row) -> Verdict | None:
        ours = figures.median(own.key, US)
        return None if ours is None else Verdict(f"{ours:.{max(own.digits, 1)}f}", ours <= limit)

    return Goal(f"≤ {limit:g}", judge)


def at_most_times(factor: float, row: str, name: str) -> Goal:
    """No more than so many times our own figure of another row."""

    def judge(figures: Figures, own: Row) -> Verdict | None:
        ours, base = figures.median(own.key, US), figures.median(row, US)
        if not ours or not base:
            return None
        return Verdict(f"{ours / base:.2f}", ours <= factor * base)

    return Goal(f"≤ {factor:g} times {name}", judge)
