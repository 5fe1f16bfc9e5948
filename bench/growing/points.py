"""Points of curves, kept in a file, so that a campaign continues where it stopped."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Point:
    """All figures that belong to one place on the curves, measured together."""

    date: str
    commit: str
    #: The load average of the machine when the point had been measured; None if nobody noted it.
    load: float | None
    figures: Mapping[str, float]


class Points:
    """The measured points by name. Without a path, they are kept in memory only."""

    def __init__(self, path: Path | None = None):
        self._path = path
        self._points: dict[str, Point] = {}
        if path and path.exists():
            self._points = {name: Point(**point) for name, point in json.loads(path.read_text()).items()}

    def add(self, name: str, point: Point) -> None:
        """Add a point, and write the file, which a crash leaves as it was or complete."""
        self._points[name] = point
        if self._path:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            new = self._path.with_suffix(".new")
            new.write_text(json.dumps({key: asdict(one) for key, one in self._points.items()}, indent=1))
            new.replace(self._path)

    def __contains__(self, name: str) -> bool:
        return name in self._points

    def figure(self, name: str, figure: str) -> float | None:
        """Return a figure of a point, or None if it was not measured."""
        point = self._points.get(name)
        return None if point is None else point.figures.get(figure)

    def runs(self) -> dict[str, list[Point]]:
        """Return the points by the date and commit of their measurement."""
        found: dict[str, list[Point]] = {}
        for point in self._points.values():
            found.setdefault(f"{point.date} at {point.commit}", []).append(point)
        return found
