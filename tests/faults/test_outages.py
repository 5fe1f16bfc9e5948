"""Stores that are unavailable for seconds, under clients: the short form of `make faults`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.faults.campaign.databases import Databases
from tests.faults.campaign.leaving import hang, unmount
from tests.faults.campaign.surroundings import Surroundings, options_of

SQLITE = Databases("sqlite")


def test_nothing_is_lost_while_the_disk_of_a_store_is_away_for_seconds(tmp_path: Path) -> None:
    """r1-H13"""
    assert unmount(SQLITE, tmp_path / "away", 1).violations == []


@pytest.mark.campaign
def test_nothing_is_lost_while_an_s3_server_refuses_or_hangs(
    swift: Mapping[str, str], tmp_path: Path
) -> None:
    """r1-H13"""
    assert hang(SQLITE, tmp_path / "hanging", 2, Surroundings("S3", options_of(swift))).violations == []
