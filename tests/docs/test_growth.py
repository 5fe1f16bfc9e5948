"""The campaign of `make bench-growth` continues where it stopped, and its page says what is missing."""

from __future__ import annotations

import importlib
import json
import re
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from calotype.database import migrate
from calotype.database.engine import build_engine
from tests.databases.test_growth import add_images, image_id
from tests.support.pages import ROOT

LOAD = {"HEAD rate": 900.0, "HEAD p50": 1.0, "HEAD p99": 2.5, "HEAD refused": 0.25}


@pytest.fixture(scope="module")
def growing() -> Iterator[SimpleNamespace]:
    """The modules of the campaign, which run with bench/ on the path."""
    sys.path.append(str(ROOT / "bench"))
    names = ("curves", "filling", "page", "plan", "points")
    yield SimpleNamespace(**{name: importlib.import_module(f"growing.{name}") for name in names})
    sys.path.remove(str(ROOT / "bench"))


def reads(growing: SimpleNamespace, milliseconds: float) -> dict[str, float]:
    return dict.fromkeys(growing.plan.READS, milliseconds)


def measured(growing: SimpleNamespace, *points: tuple[str, dict[str, float]]) -> Any:
    kept = growing.points.Points()
    for name, figures in points:
        kept.add(name, growing.points.Point("2026-01-31", "abc", 1.5, figures))
    return kept


def test_the_next_run_finds_the_points_of_the_last_one(growing: SimpleNamespace, tmp_path: Path) -> None:
    path = tmp_path / "var" / "growth.json"
    growing.points.Points(path).add("load 1 8", growing.points.Point("2026-01-31", "abc", 1.5, LOAD))

    found = growing.points.Points(path)

    assert "load 1 8" in found
    assert "load 1 64" not in found
    assert found.figure("load 1 8", "HEAD p99") == 2.5
    assert [len(points) for points in found.runs().values()] == [1]


def test_a_run_that_is_killed_while_it_writes_loses_no_earlier_point(
    growing: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "growth.json"
    points, point = growing.points.Points(path), growing.points.Point("2026-01-31", "abc", 1.5, LOAD)
    points.add("load 1 1", point)
    monkeypatch.setattr(Path, "replace", lambda self, target: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        points.add("load 1 8", point)

    assert list(json.loads(path.read_text())) == ["load 1 1"]


def test_the_page_names_the_points_that_are_missing_and_the_commits_of_the_others(
    growing: SimpleNamespace,
) -> None:
    plan = growing.plan.QUICK
    text = "\n".join(growing.page.parts(plan, measured(growing, ("load 1 8", LOAD)), "growth"))

    assert "- 1 point on 2026-01-31 at abc, with a load average of 1.5 to 1.5" in text
    assert "- not measured: load 1 1, sqlite 100 reads" in text
    assert "| 8 | 900 /s, 1.0 / 2.5 ms, 25% refused |" in text
    assert "| 1 | - |" in text


def test_the_page_judges_whether_a_list_is_flat_and_ahead_of_glance(growing: SimpleNamespace) -> None:
    points = measured(
        growing,
        ("sqlite 100 reads", reads(growing, 2.0)),
        ("sqlite 1000 reads", reads(growing, 3.5)),
        ("postgresql 100 reads", reads(growing, 2.0)),
        ("postgresql 1000 reads", reads(growing, 2.5)),
        ("postgresql 100 glance", {"ours": 2.0, "ours-v2": 4.0, "glance": 20.0}),
    )
    text = "\n".join(growing.page.parts(growing.plan.QUICK, points, "growth"))

    assert re.search(r"v2, SQLite: 1\.75 times as long .+\(at most 1\.5: \*\*not met\*\*\)", text)
    assert re.search(r"v2, PostgreSQL: 1\.25 times as long .+\(at most 1\.5: met\)", text)
    assert re.search(r"classic, both on PostgreSQL: 10\.0 times as fast .+: met\)", text)
    assert re.search(r"v2, both on PostgreSQL: 5\.0 times as fast .+: \*\*not met\*\*\)", text)


def test_a_campaign_that_measured_nothing_writes_a_page_without_charts(growing: SimpleNamespace) -> None:
    points = measured(growing)

    assert growing.page.charts(growing.plan.FULL, points) == {}
    written = growing.page.parts(growing.plan.FULL, points, "growth")
    assert "No goal can be judged yet." in written
    assert not [part for part in written if part.startswith("![")]


def test_a_curve_runs_from_its_first_point_to_its_last(growing: SimpleNamespace) -> None:
    drawn = growing.curves.draw("T", "images", "ms", {"a": [(1, 1), (10, 10)], "b": [(1, 10), (10, 10)]})

    root = ElementTree.fromstring(drawn)
    rising, level = (line.get("points") for line in root.iter("{http://www.w3.org/2000/svg}polyline"))
    assert rising == "70.0,410.0 640.0,50.0"
    assert level == "70.0,50.0 640.0,50.0"
    names = [line for line in root.iter("{http://www.w3.org/2000/svg}text") if line.text in ("a", "b")]
    heights = [float(line.get("y", 0)) for line in names]
    assert abs(heights[0] - heights[1]) >= 14


def test_a_filled_database_has_the_properties_and_tags_that_the_page_describes(
    growing: SimpleNamespace, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/database.sqlite"
    engine = build_engine(url)
    migrate.upgrade(engine)
    add_images(engine, range(1))
    growing.filling.fill(url, image_id(0), range(1, 101), located=True)
    growing.filling.fill(url, image_id(0), range(101, 201), located=False)

    with create_engine(url).connect() as connection:

        def count(query: str) -> int:
            return connection.scalar(text(f"SELECT count(*) FROM {query}"))

        assert count("images WHERE name LIKE 'image %'") == 201
        assert count("(SELECT DISTINCT id, created_at FROM images) AS found") == 201
        assert count("image_properties WHERE name = 'common' AND value = '3'") == 200 / growing.filling.COMMON
        assert count("image_properties WHERE name = 'rare' AND value = '3'") == growing.filling.RARE
        assert count("image_tags WHERE tag = 'rare'") == growing.filling.RARE + 1  # the pattern has it too
        assert count("image_locations") == 101
        assert connection.execute(text("PRAGMA foreign_key_check")).all() == []
    assert migrate.differences(engine) == []
    engine.dispose()
