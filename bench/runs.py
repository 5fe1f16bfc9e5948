"""The runs that a page shows, in a file beside the page with a JSON document in each line."""

from __future__ import annotations

import datetime
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from figures import Figures

#: A goal is judged by this many runs, and older ones are dropped.
KEPT = 3
#: Runs that start closer to each other count as one, because a shared machine stays slow for a while.
APART = datetime.timedelta(minutes=30)


@dataclass(frozen=True)
class Run:
    """A run of the comparison. `started` is in UTC, and `parts` names the parts that the run measured."""

    started: datetime.datetime
    commit: str
    rounds: int
    minutes: int
    parts: tuple[str, ...]
    figures: Figures

    @property
    def name(self) -> str:
        """The time by which the page names the run."""
        return f"{self.started:%Y-%m-%d %H:%M}"


def read_runs(path: Path) -> list[Run]:
    """Return the runs in the file, the oldest first. Without the file there are none."""
    return [_read(line) for line in path.read_text().splitlines()] if path.exists() else []


def _read(line: str) -> Run:
    found = json.loads(line)
    found["started"] = datetime.datetime.fromisoformat(found["started"])
    found["parts"] = tuple(found["parts"])
    found["figures"] = Figures.from_rounds(found["figures"])
    return Run(**found)


def write_runs(path: Path, runs: Sequence[Run]) -> None:
    """Replace the file with these runs. Each has a line of its own, so that a diff shows which are new."""
    path.write_text("".join(f"{_line(run)}\n" for run in runs))


def _line(run: Run) -> str:
    figures = run.figures.all_rounds()
    return json.dumps({**vars(run), "started": run.started.isoformat(), "figures": figures})


def last_runs(runs: Sequence[Run]) -> list[Run]:
    """Return the runs of which a part has been repeated fewer than `KEPT` times since."""
    return [
        run
        for number, run in enumerate(runs)
        if any(sum(part in later.parts for later in runs[number + 1 :]) < KEPT for part in run.parts)
    ]


def too_soon(runs: Sequence[Run], parts: Collection[str], now: datetime.datetime) -> str | None:
    """Return why a run of these parts cannot be added yet, or None if it can."""
    since = [run.started for run in runs if set(run.parts) & set(parts) and now - run.started < APART]
    if not since:
        return None
    return (
        f"the last run began at {max(since):%H:%M} UTC; the next one may start at {max(since) + APART:%H:%M}"
    )
