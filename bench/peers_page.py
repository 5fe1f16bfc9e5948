"""The page of the peers: the goals in all runs, what limits them, and the figures of the newest runs."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path

import chart
import peers_table
from figures import US, Figures, Row
from rows import GLANCE, MACHINE, NGINX, ON_POSTGRESQL, ONE, REGISTRY, V2, Sizes, rows
from runs import KEPT, Run

from tests.support.results import machine, write_page

LIMITS = Path(__file__).with_name("limits.toml")
TITLE = "Calotype beside other servers"
COMMAND = "make bench-peers"
#: The text above the tables.
NOTE = (
    "The servers and what is measured are described in [Performance](../performance.md). "
    f"Each goal has to be met in {KEPT} runs that start at least half an hour apart. "
    "Ratios of one run decide, because the speed of a shared machine changes. Values in bold miss the goal."
)
PEERS = (US, GLANCE, REGISTRY, NGINX)
CHARTED = ("upload", "uploads", "download", "downloads", "create-8", "show-8", "list-many", "p99-uploads")


def read_limits() -> dict[str, str]:
    """Return the sentences about the limits of rows, by the keys of the rows."""
    return tomllib.loads(LIMITS.read_text())["limits"]


def text(sizes: Sizes, runs: Sequence[Run]) -> str:
    """Return the page's parts to print."""
    return "\n\n".join([machine(), *_parts(sizes, runs)])


def write(page: Path, sizes: Sizes, runs: Sequence[Run]) -> None:
    """Write the page and the chart beside it."""
    picture = f"![Bars of the peers' figures]({page.stem}.svg)"
    write_page(page, TITLE, COMMAND, NOTE, *_parts(sizes, runs), picture)
    figures, found = newest(runs), rows(sizes)
    charted = [row for key in CHARTED for row in found if row.key == key]
    title = "Calotype and its peers, a process for each core"
    page.with_suffix(".svg").write_text(chart.draw(title, charted, PEERS, figures))


def newest(runs: Sequence[Run]) -> Figures:
    """Return the figures of each row in the newest run that has measured it."""
    found: dict[str, dict[str, list[float]]] = {}
    for run in runs:
        found |= run.figures.all_rounds()
    return Figures.from_rounds(found)


def _parts(sizes: Sizes, runs: Sequence[Run]) -> list[str]:
    found, figures = rows(sizes), newest(runs)
    goals = peers_table.judge(found, runs)
    of_peers = [row for row in found if not figures.rounds(row.key, MACHINE)]
    of_one = [row for row in found if figures.rounds(row.key, ONE)]
    return [
        "## Goals",
        peers_table.goals_table(goals, runs),
        peers_table.missing_runs(goals),
        "## What limits the rows that miss a goal",
        peers_table.limits_list(goals, read_limits()),
        "## Figures",
        "Medians of the newest run (least to most of its rounds). "
        f"{US} runs with `processes = auto`, as in production.",
        peers_table.figures_table(of_peers, PEERS, figures),
        *(f"{who}: {_sentence(found, who, figures)}." for who in (MACHINE, V2, ON_POSTGRESQL)),
        "## One process",
        peers_table.figures_table(of_one, (US, ONE), figures),
        "## Runs",
        _runs_table(runs),
    ]


def _runs_table(runs: Sequence[Run]) -> str:
    lines = ["| started (UTC) | commit | parts | rounds | minutes |", "| --- | --- | --- | ---: | ---: |"]
    for run in runs:
        lines.append(f"| {run.name} | {run.commit} | {', '.join(run.parts)} | {run.rounds} | {run.minutes} |")
    return "\n".join(lines)


def _sentence(found: Sequence[Row], who: str, figures: Figures) -> str:
    measured = [(row, figures.median(row.key, who)) for row in found if figures.rounds(row.key, who)]
    return ", ".join(f"{row.what} {figure:,.{row.digits}f} {row.unit}" for row, figure in measured)
