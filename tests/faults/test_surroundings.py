"""Clocks that are set, processes that freeze, databases that restart: the short form of `make faults`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.faults.campaign import clocks
from tests.faults.campaign.databases import Databases
from tests.faults.campaign.freezing import freeze
from tests.faults.campaign.restarting import restart
from tests.faults.campaign.surroundings import Surroundings, options_of

SQLITE = Databases("sqlite")


@pytest.mark.campaign
@pytest.mark.usefixtures("faketime")
def test_setting_a_clock_ends_no_running_upload(tmp_path: Path) -> None:
    assert clocks.jump(SQLITE, tmp_path / "running", 1).violations == []


@pytest.mark.campaign
@pytest.mark.usefixtures("faketime")
def test_an_upload_that_dies_under_a_wrong_clock_is_swept_in_time(tmp_path: Path) -> None:
    assert clocks.die(SQLITE, tmp_path / "running", 1).violations == []


def test_a_process_that_was_frozen_beyond_its_leases_changes_nothing(tmp_path: Path) -> None:
    assert freeze(SQLITE, tmp_path / "running", 1).violations == []


@pytest.mark.campaign
def test_a_process_that_was_frozen_leaves_no_orphan_in_s3(swift: Mapping[str, str], tmp_path: Path) -> None:
    """r1-H13"""
    s3 = Surroundings("S3", options_of(swift))
    assert freeze(SQLITE, tmp_path / "running", 2, surroundings=s3).violations == []


@pytest.mark.campaign
@pytest.mark.parametrize("server", ["postgres", "mariadb"])
def test_nothing_is_lost_when_a_database_restarts_or_crashes_under_eight_clients(
    server: str, tmp_path: Path
) -> None:
    assert restart(server, tmp_path / "restarted", 2).violations == []
