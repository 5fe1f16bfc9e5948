"""The figures of each row and peer, and the goals."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

#: The peer to which the goals apply.
US = "Calotype"


class Figures:
    """The rounds of each figure."""

    def __init__(self) -> None:
        self._rounds: dict[tuple[str, str], list[float]] = defaultdict(list)

    def add(self, row: str, who: str, figure: float) -> None:
        """Add the figure of a round."""
        self._rounds[row, who].append(figure)

    def rounds(self, row: str, who: str) -> list[float]:
        """Return the figures of all rounds in order. The list is empty if the row was not measured."""
        return self._rounds.get((row, who), [])

    @classmethod
    def from_rounds(cls, rounds: Mapping[str, Mapping[str, Sequence[float]]]) -> Figures:
        """Return the figures that `all_rounds` has returned."""
        figures = cls()
        for row, peers in rounds.items():
            for who, found in peers.items():
                figures._rounds[row, who] = list(found)
        return figures

    def all_rounds(self) -> dict[str, dict[str, list[float]]]:
        """Return the rounds of each row and peer, with five digits, for a JSON document."""
        rounds: dict[str, dict[str, list[float]]] = defaultdict(dict)
        for (row, who), found in self._rounds.items():
            rounds[row][who] = [float(f"{figure:.5g}") for figure in found]
        return rounds

    def median(self, row: str, who: str) -> float | None:
        """Return the median of a row, or None if the row was not measured."""
        rounds = self.rounds(row, who)
        return median(rounds) if rounds else None


@dataclass(frozen=True)
class Verdict:
    """The result of a goal: the reached value, and whether the goal is met."""

    reached: str
    met: bool


@dataclass(frozen=True)
class Goal:
    """A goal for our figure."""

    text: str
    judge: Callable[[Figures, Row], Verdict | None]


@dataclass(frozen=True)
class Row:
    """A line of the table."""

    key: str
    what: str
    unit: str
    goals: tuple[Goal, ...] = ()
    #: True if a larger figure is better.
    more: bool = True
    digits: int = 0


def times(factor: float, who: str, row: str | None = None, name: str | None = None) -> Goal:
    """Return the goal to be at least this many times as good as a peer, in the same row or in `row`."""

    def judge(figures: Figures, own: Row) -> Verdict | None:
        ours, theirs = figures.median(own.key, US), figures.median(row or own.key, who)
        if not ours or not theirs:
            return None
        ratio = ours / theirs if own.more else theirs / ours
        return Verdict(f"{ratio:.2f}", ratio >= factor)

    return Goal(f"≥ {factor:g} times {name or who}", judge)


def at_most(limit: float, unit: str = "") -> Goal:
    """Return the goal to reach at most this value. The unit is the row's, as the goal shows it."""

    def judge(figures: Figures, own: Row) -> Verdict | None:
        ours = figures.median(own.key, US)
        return None if ours is None else Verdict(f"{ours:.{max(own.digits, 1)}f}", ours <= limit)

    return Goal(f"≤ {limit:g} {unit}".rstrip(), judge)


def at_most_times(factor: float, row: str, name: str, who: str = US) -> Goal:
    """Return the goal to reach at most this many times our own figure of another row, or a peer's figure."""

    def judge(figures: Figures, own: Row) -> Verdict | None:
        ours, base = figures.median(own.key, US), figures.median(row, who)
        if not ours or not base:
            return None
        return Verdict(f"{ours / base:.2f}", ours <= factor * base)

    return Goal(f"≤ {factor:g} times {name}", judge)
