"""The page of the peers shows each run's values, which runs are missing, and what limits a missed goal."""

from __future__ import annotations

import datetime
import sys
from pathlib import Path

import pytest

from tests.support.pages import ROOT

# The modules of bench are scripts, which import each other by their names.
sys.path.append(str(ROOT / "bench"))
import peers_page
import peers_table
import rows
import runs
from figures import US, Figures, Row, at_most, at_most_times, times

START = datetime.datetime(2026, 12, 1, 10, 0, tzinfo=datetime.UTC)
SIZES = rows.Sizes(image=1 << 30, stream=128 << 20, few=1_000, many=100_000, most=1_000_000, readers=200)
UPLOAD = Row("upload", "upload 1 GiB", "MiB/s", (times(1, rows.NGINX),))
SHOW = Row("show-1", "HEAD, 1 client", "/s", (times(6, rows.GLANCE),))


def make_run(
    hours: int, parts: tuple[str, ...] = ("transfers",), **figures: dict[str, list[float]]
) -> runs.Run:
    """Return a run with these figures, which started this many hours after `START`."""
    rounds = {key.replace("_", "-"): peers for key, peers in figures.items()}
    began = START + datetime.timedelta(hours=hours)
    return runs.Run(began, f"commit{hours}", 3, 30, parts, Figures.from_rounds(rounds))


def uploads(*ratios: float) -> list[runs.Run]:
    """Return runs with these ratios of our uploads to nginx's, an hour apart."""
    return [
        make_run(hours, upload={US: [100 * ratio], rows.NGINX: [100]}) for hours, ratio in enumerate(ratios)
    ]


@pytest.mark.parametrize(
    ("goal", "ours", "theirs", "reached", "met"),
    [
        (times(2, "other"), 20, 10, "2.00", True),
        (times(2, "other"), 19, 10, "1.90", False),
        (times(2, "other", "base"), 10, 5, "2.00", True),
        (at_most(100), 100, 1, "100.0", True),
        (at_most(100), 101, 1, "101.0", False),
        (at_most_times(0.5, "base", "other's", "other"), 1, 2, "0.50", True),
        (at_most_times(0.5, "base", "other's", "other"), 1, 1.9, "0.53", False),
    ],
)
def test_a_goal_is_judged_by_the_figures_of_one_run(goal, ours, theirs, reached, met):
    figures = Figures.from_rounds({"row": {US: [ours], "other": [theirs]}, "base": {"other": [theirs]}})

    verdict = goal.judge(figures, Row("row", "a row", "/s"))

    assert (verdict.reached, verdict.met) == (reached, met)


def test_each_run_has_a_column_with_its_date_and_its_ratio():
    found = uploads(1.2, 0.9, 1.1)

    assert peers_table.goals_table(peers_table.judge([UPLOAD], found), found) == (
        "| what | goal | 2026-12-01 10:00 | 2026-12-01 11:00 | 2026-12-01 12:00 | result |\n"
        "| --- | --- | ---: | ---: | ---: | --- |\n"
        "| upload 1 GiB | ≥ 1 times nginx | 1.20 | **0.90** | 1.10 | **not met**, 2 of 3 |"
    )


def test_a_table_of_one_run_ends_with_its_goals_and_their_verdicts():
    figures = Figures.from_rounds({"upload": {US: [90, 110, 80], rows.NGINX: [100]}})

    assert peers_table.table([UPLOAD, SHOW], {US: "Calotype", rows.NGINX: "nginx"}, figures) == (
        "| what | Calotype | nginx | goals |\n"
        "| --- | ---: | ---: | --- |\n"
        "| upload 1 GiB, MiB/s | 90 (80 to 110) | 100 (100 to 100) | ≥ 1 times nginx: 0.90, **not met** |\n"
        "| HEAD, 1 client, /s | - | - | ≥ 6 times Glance: not measured |"
    )


@pytest.mark.parametrize(
    ("ratios", "result"),
    [
        ((), "not measured"),
        ((1.0,), "met so far"),
        ((1.0, 1.1, 1.2), "met"),
        ((0.9, 0.8, 0.7), "**not met**"),
        ((0.9, 1.1, 1.1, 1.1), "met"),
    ],
)
def test_a_goal_is_met_if_the_last_three_runs_have_met_it(ratios, result):
    (judged,) = peers_table.judge([UPLOAD], uploads(*ratios))

    assert judged.result == result


def test_the_page_names_the_rows_with_fewer_than_three_runs():
    found = uploads(1.2, 1.2, 1.2)
    assert peers_table.missing_runs(peers_table.judge([UPLOAD], found)) == "Each goal has 3 runs."
    assert peers_table.missing_runs(peers_table.judge([UPLOAD], found[:1])) == "Each goal has 1 of 3 runs."

    found.append(make_run(3, ("requests",), show_1={US: [700], rows.GLANCE: [100]}))

    goals = peers_table.judge([UPLOAD, SHOW], found)
    assert peers_table.missing_runs(goals) == "With 1 of 3 runs: HEAD, 1 client."


def test_a_missed_goal_has_the_sentence_of_its_row():
    goals = peers_table.judge([UPLOAD, SHOW], uploads(0.9))

    assert peers_table.limits_list(goals, {"upload": "MD5.", "show-1": "Python."}) == "- upload 1 GiB: MD5."
    assert peers_table.limits_list(goals, {}) == f"- upload 1 GiB: {peers_table.UNEXPLAINED}"
    met = peers_table.judge([UPLOAD], uploads(1.1))
    assert peers_table.limits_list(met, {"upload": "MD5."}) == "Every run has met every goal."


def test_the_sentences_about_limits_belong_to_rows_with_goals():
    with_goals = {row.key for row in rows.rows(SIZES) if row.goals}

    assert set(peers_page.read_limits()) - with_goals == set()


def test_each_row_has_a_key_of_its_own():
    keys = [row.key for row in rows.rows(SIZES)]

    assert len(keys) == len(set(keys))


def test_figures_are_those_of_the_newest_run_that_has_measured_the_row():
    found = [*uploads(1.0, 2.0), make_run(5, ("requests",), show_1={US: [700]})]

    figures = peers_page.newest(found)

    assert figures.rounds("upload", US) == [200]
    assert figures.rounds("show-1", US) == [700]


def test_runs_are_read_as_they_were_written(tmp_path: Path):
    file = tmp_path / "peers.jsonl"
    assert runs.read_runs(file) == []

    runs.write_runs(file, [make_run(0, upload={US: [1.23456789, 2]}), make_run(1, upload={US: [3]})])

    first, second = runs.read_runs(file)
    assert (first.name, first.commit, first.rounds, first.minutes) == ("2026-12-01 10:00", "commit0", 3, 30)
    assert (first.parts, first.figures.rounds("upload", US)) == (("transfers",), [1.2346, 2])
    assert second.figures.rounds("upload", US) == [3]
    assert len(file.read_text().splitlines()) == 2


def test_a_run_is_kept_until_each_of_its_parts_has_three_newer_runs():
    both, transfers = ("transfers", "requests"), ("transfers",)
    found = [make_run(0, both), *(make_run(hours, transfers) for hours in range(1, 5))]
    assert [run.commit for run in runs.last_runs(found)] == ["commit0", "commit2", "commit3", "commit4"]

    found += [make_run(hours, both) for hours in range(5, 8)]

    assert [run.commit for run in runs.last_runs(found)] == ["commit5", "commit6", "commit7"]


@pytest.mark.parametrize(
    ("parts", "minutes", "message"),
    [
        (("transfers",), 29, "the last run began at 10:00 UTC; the next one may start at 10:30"),
        (("transfers",), 30, None),
        (("requests",), 1, None),
    ],
)
def test_runs_of_a_part_are_half_an_hour_apart(parts, minutes, message):
    now = START + datetime.timedelta(minutes=minutes)

    assert runs.too_soon([make_run(0)], parts, now) == message


def test_the_page_has_the_goals_the_limits_the_figures_and_the_runs(tmp_path: Path):
    page = tmp_path / "peers.md"
    one = {US: [100], rows.ONE: [60], rows.NGINX: [120]}

    peers_page.write(page, SIZES, [make_run(0, upload_sha256=one, md5={rows.MACHINE: [700]})])

    written = page.read_text()
    assert "| upload 1 GiB, SHA-256 only | ≥ 1 times nginx | **0.83** | **not met** |" in written
    assert "| upload 1 GiB, SHA-256 only, MiB/s | 100 (100 to 100) | - | - | 120 (120 to 120) |" in written
    assert "| what | Calotype | Calotype, one process |" in written
    assert "This machine alone: MD5 on one core 700 MiB/s." in written
    assert "| 2026-12-01 10:00 | commit0 | transfers | 3 | 30 |" in written
    assert page.with_suffix(".svg").read_text().startswith("<svg")
