"""Counts of downloads: collected in memory, and written together."""

from __future__ import annotations

import datetime
import logging
from concurrent.futures import ThreadPoolExecutor

import pytest

from calotype.database.errors import DatabaseUnavailable
from calotype.images.download_counts import DownloadCounts
from calotype.model.downloads import ImageDay
from tests.support.workbench import Bench

TODAY = datetime.datetime.now(datetime.UTC).date()
DAY = 86400


def add(bench: Bench, days_ago: int) -> None:
    with bench.database.unit() as unit:
        unit.downloads.add({ImageDay("i", TODAY - datetime.timedelta(days=days_ago)): 1})


def test_processes_that_count_the_same_image_at_once_lose_nothing(bench: Bench) -> None:
    processes = [DownloadCounts(bench.database, DAY) for _ in range(4)]

    def work(counts: DownloadCounts) -> None:
        for number in range(30):
            counts.note(f"i{number % 3}", from_start=number % 5 > 0)
            counts.write()

    with ThreadPoolExecutor() as pool:
        list(pool.map(work, processes))
    for counts in processes:
        counts.write()  # what a conflict left for the next time
    found = [sum(bench.database.downloads.of(f"i{number}").values()) for number in range(3)]
    assert found == [32, 32, 32]


def test_counts_wait_while_the_database_is_away(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog
) -> None:
    counts = DownloadCounts(bench.database, DAY)
    for number in range(1200):  # several batches
        counts.note(f"i{number:04}", from_start=True)

    def away(**given: object) -> None:
        raise DatabaseUnavailable("away")

    with monkeypatch.context() as patched, caplog.at_level(logging.WARNING):
        patched.setattr(bench.database, "unit", away)
        counts.write()
    assert "counts of downloads could not be written; the process will retry: away" in caplog.text
    counts.note("i0000", from_start=True)
    counts.write()
    assert bench.database.downloads.of("i0000") == {TODAY: 2}
    assert bench.database.downloads.of("i1199") == {TODAY: 1}
    counts.write()
    assert bench.database.downloads.of("i0000") == {TODAY: 2}


def test_old_days_are_removed_one_by_one(bench: Bench) -> None:
    for days_ago in (0, 1, 2, 3):
        add(bench, days_ago)
    counts = DownloadCounts(bench.database, DAY)
    assert [counts.forget_old() for _ in range(3)] == [True, True, False]
    assert sorted(bench.database.downloads.of("i")) == [TODAY - datetime.timedelta(days=1), TODAY]


def test_nothing_is_counted_if_counts_are_not_kept(bench: Bench) -> None:
    counts = DownloadCounts(bench.database, 0)
    counts.note("i", from_start=True)
    counts.write()
    assert bench.database.downloads.first_day() is None
    add(bench, 1)
    assert counts.forget_old()
