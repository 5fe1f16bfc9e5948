"""Stores that are away for seconds, under clients: `make faults` in short."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.faults.campaign.databases import Databases
from tests.faults.campaign.leaving import hang, unmount
from tests.faults.campaign.surroundings import Surroundings, options_of

SQLITE = Databases("sqlite")


def test_a_store_whose_disk_is_away_for_seconds_costs_nothing(tmp_path: Path) -> None:
    """r1-H13"""
    assert unmount(SQLITE, tmp_path / "away", 1).violations == []


@pytest.mark.campaign
def test_an_s3_server_that_refuses_and_hangs_costs_nothing(swift: Mapping[str, str], tmp_path: Path) -> None:
    """r1-H13"""
    assert hang(SQLITE, tmp_path / "hanging", 2, Surroundings("S3", options_of(swift))).violations == []
