"""The pages of docs/results are written by commands, and say when, where and how they were made."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.faults.campaign.__main__ import _SURROUNDINGS, KINDS, _is_whole
from tests.faults.campaign.databases import NAMES
from tests.mutants.__main__ import Outcome, Result, page_of
from tests.mutants.table import Mutant
from tests.support.pages import DOCS, ROOT
from tests.support.results import RESULTS, write_page

PAGES = sorted(path for path in RESULTS.glob("*.md") if path.name != "index.md")
USUAL = {kind: number for kind, (number, _) in KINDS.items()}


def rows(page: Path) -> dict[str, str]:
    """Return the table at the top of a page of results."""
    return dict(re.findall(r"^\| (date|command|commit|machine|versions) \| (.+) \|$", page.read_text(), re.M))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_of_results_says_when_where_and_how_it_was_made(page: Path) -> None:
    assert set(rows(page)) == {"date", "command", "commit", "machine", "versions"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_command_that_writes_a_page_exists_and_names_it(page: Path) -> None:
    command = re.findall(r"^`([^`]+)` writes this page", page.read_text(), re.M)[0]
    kind, name = command.rsplit(" ", 1)
    if kind == "make":
        source = (ROOT / "Makefile").read_text()
        assert re.search(rf"^{name}:.*{re.escape(str(page.relative_to(ROOT)))}", source, re.M)
    else:
        source = ROOT.joinpath(*name.split(".")).with_suffix(".py").read_text()
        assert f'"{page.name}"' in source


def test_a_new_page_says_when_where_and_how_it_was_made(tmp_path: Path) -> None:
    page = tmp_path / "new" / "page.md"

    write_page(page, "A title", "make bench-peers", "A note.", "| a | b |")

    assert page.read_text().startswith("# A title\n\n`make bench-peers` writes this page")
    assert page.read_text().endswith("\n\nA note.\n\n| a | b |\n")
    found = rows(page)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", found["date"])
    assert found["command"].startswith("`make bench-peers`, as `")
    assert re.fullmatch(r"\d+ cores, \d+ GiB of memory, \S+, Linux \d+\.\d+", found["machine"])
    assert "calotype-core 0." in found["versions"]
    assert str(ROOT) not in page.read_text()


@pytest.mark.parametrize(
    ("names", "places", "only", "numbers", "whole"),
    [
        ((), _SURROUNDINGS, (), {}, True),
        (NAMES, _SURROUNDINGS, (), {"kills": 5000}, True),
        (NAMES[:1], _SURROUNDINGS, (), {}, False),
        ((), _SURROUNDINGS[:1], (), {}, False),
        ((), _SURROUNDINGS, ("copy",), {}, False),
        ((), _SURROUNDINGS, (), {"kills": 5}, False),
        ((), _SURROUNDINGS, (), {"fills": 0}, False),
    ],
)
def test_only_a_whole_campaign_writes_its_page(
    names: tuple[str, ...],
    places: tuple[str, ...],
    only: tuple[str, ...],
    numbers: dict[str, int],
    whole: bool,
) -> None:
    assert _is_whole(names, places, only, {**USUAL, **numbers}) is whole


def test_the_page_of_the_mutants_has_each_of_them() -> None:
    results = [
        Result(Mutant(f"G-0{number}: a guard is gone", "tests/test_a.py::test_b", ()), outcome, 1.0, "")
        for number, outcome in ((2, Outcome.SURVIVED), (1, Outcome.CAUGHT))
    ]

    assert page_of(results, 120) == (
        "1 of 2 mutants were caught. The run took 2 minutes.",
        "| mutant | outcome | seconds | test |\n| --- | --- | --- | --- |\n"
        "| G-01: a guard is gone | caught | 1 | `tests/test_a.py::test_b` |\n"
        "| G-02: a guard is gone | SURVIVED | 1 | `tests/test_a.py::test_b` |",
    )


def test_figures_of_single_runs_are_on_no_other_page() -> None:
    """Tables of measurements, or of faults found, belong to docs/results."""
    pages = [DOCS / "performance.md", DOCS / "reliability.md"]

    assert [
        page.name for page in pages if re.search(r"\(\d[\d.,]* to \d|\*\*together\*\*", page.read_text())
    ] == []
