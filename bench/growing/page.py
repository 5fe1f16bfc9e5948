"""The tables, verdicts and charts of docs/results/growth.md, from the points that were measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from calotype.config.messages import counted
from growing import curves
from growing.plan import CHECKS, DATABASES, READS, REQUESTS, WRITES, Plan, load_name, point_name
from growing.points import Points

#: The goals of a list of 25: at most this many times as long among the most images as among the fewest, and
#: at least this many times as fast as Glance.
FLAT, AHEAD = 1.5, 8.0
_ABOUT = """[Performance](../performance.md#growth) explains what is measured and what limits it."""
_CHARTED = ("head", "list", "deep", "name", "property-rare", "property-common", "tag-rare", "tag-common")


def parts(plan: Plan, points: Points, stem: str) -> list[str]:
    """Return the parts of the page, which are Markdown. `stem` begins the names of its charts."""
    found = [_ABOUT, _measured(plan, points), "## Connections"]
    for what in REQUESTS:
        found += [f"### {what}", _loads(plan, points, what)]
    drawn = charts(plan, points)
    if "rates" in drawn:
        found.append(f"![Requests per second by connections]({stem}-rates.svg)")
    found += ["## Images", _verdicts(plan, points)]
    for database, name in DATABASES.items():
        found += [f"### {name}", _catalogues(plan, points, database)]
        if database in drawn:
            found.append(f"![Milliseconds by images on {name}]({stem}-{database}.svg)")
    return found


def charts(plan: Plan, points: Points) -> dict[str, str]:
    """Return the charts by the ends of their names. A chart without any point is left out."""
    rates = {
        f"{what}, {_processes(processes)}": [
            (connections, points.figure(load_name(processes, connections), f"{what} rate"))
            for connections in plan.connections
        ]
        for what in REQUESTS
        for processes in plan.processes
    }
    found = {"rates": _chart("Requests per second", "connections", "requests per second", rates)}
    for database, name in DATABASES.items():
        reads = {
            READS[key]: [
                (count, points.figure(point_name(database, count, "reads"), key)) for count in plan.counts
            ]
            for key in _CHARTED
        }
        found[database] = _chart(f"Time of a request on {name}", "images", "milliseconds", reads)
    return {end: chart for end, chart in found.items() if chart}


def _chart(
    title: str, across: str, up: str, found: Mapping[str, Sequence[tuple[float, float | None]]]
) -> str | None:
    known = {name: [(x, y) for x, y in curve if y] for name, curve in found.items()}
    known = {name: curve for name, curve in known.items() if curve}
    return curves.draw(title, across, up, known) if known else None


def _measured(plan: Plan, points: Points) -> str:
    """Name the commits of the points and the load of the machine, and the points that are missing."""
    lines = []
    for when, measured in points.runs().items():
        loads = [point.load for point in measured if point.load is not None]
        busy = (
            f"a load average of {min(loads):.1f} to {max(loads):.1f}"
            if loads
            else "a load that was not noted"
        )
        lines.append(f"- {counted(len(measured), 'point')} on {when}, with {busy}")
    missing = [name for name in plan.names() if name not in points]
    lines.append(f"- not measured: {', '.join(missing)}" if missing else "- none is missing")
    return "\n".join(["The points were measured one after another:", "", *lines])


def _loads(plan: Plan, points: Points, what: str) -> str:
    def cell(processes: int, connections: int) -> str:
        name = load_name(processes, connections)
        rate, *waits = (points.figure(name, f"{what} {figure}") for figure in ("rate", "p50", "p99"))
        refused = points.figure(name, f"{what} refused")
        if rate is None:
            return "-"
        share = f", {refused:.0%} refused" if refused else ""
        return f"{rate:,.0f} /s, {waits[0]:,.1f} / {waits[1]:,.1f} ms{share}"

    heads = [f"{_processes(processes)}: rate, p50 / p99" for processes in plan.processes]
    rows = [
        [f"{connections:,}", *(cell(processes, connections) for processes in plan.processes)]
        for connections in plan.connections
    ]
    return _table(["connections", *heads], rows)


def _processes(number: int) -> str:
    return "1 process" if number == 1 else f"{number} processes"


def _catalogues(plan: Plan, points: Points, database: str) -> str:
    def row(group: str, key: str, what: str, digits: int) -> list[str]:
        found = [points.figure(point_name(database, count, group), key) for count in plan.counts]
        return [what, *("-" if one is None else f"{one:,.{digits}f}" for one in found)]

    rows = [row("reads", key, f"{what}, ms", 1) for key, what in READS.items()]
    rows += [row("writes", key, what, 1 if "ms" in what else 0) for key, what in WRITES.items()]
    rows += [row("fsck", key, what, 0) for key, what in CHECKS.items()]
    return _table(["what", *(f"{count:,} images" for count in plan.counts)], rows)


def _verdicts(plan: Plan, points: Points) -> str:
    """Judge the goals of a list of 25."""
    lines = [
        *(_flat(plan, points, database, key) for database in DATABASES for key in ("brief", "list")),
        *(_ahead(points, count, key) for count in plan.counts for key in ("ours", "ours-v2")),
    ]
    return "\n".join(f"- {line}" for line in lines if line) or "No goal can be judged yet."


def _flat(plan: Plan, points: Points, database: str, key: str) -> str | None:
    found = [(count, points.figure(point_name(database, count, "reads"), key)) for count in plan.counts]
    known = [(count, figure) for count, figure in found if figure]
    if len(known) < 2:
        return None
    (few, least), (many, most) = known[0], known[-1]
    ratio = most / least
    what = f"{READS[key]}, {DATABASES[database]}: {ratio:.2f} times as long among {many:,} images"
    return f"{what} as among {few:,} (at most {FLAT:g}: {_met(ratio <= FLAT)})"


def _ahead(points: Points, count: int, key: str) -> str | None:
    name = point_name("postgresql", count, "glance")
    ours, theirs = points.figure(name, key), points.figure(name, "glance")
    if not ours or not theirs:
        return None
    dialect = "v2" if key == "ours-v2" else "classic"
    what = (
        f"list of 25 of {count:,}, {dialect}, both on PostgreSQL: {theirs / ours:.1f} times as fast as Glance"
    )
    return f"{what} (at least {AHEAD:g}: {_met(theirs / ours >= AHEAD)})"


def _met(met: bool) -> str:
    return "met" if met else "**not met**"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---", *("---:" for _ in head[1:])], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
