"""Clocks that are set, processes that stand still, databases that restart: `make faults` in short."""

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
def test_a_clock_that_is_set_ends_no_upload_that_goes_on(tmp_path: Path) -> None:
    assert clocks.jump(SQLITE, tmp_path / "running", 1).violations == []


@pytest.mark.campaign
@pytest.mark.usefixtures("faketime")
def test_what_dies_while_its_clock_is_wrong_is_kept_no_longer_than_else(tmp_path: Path) -> None:
    assert clocks.die(SQLITE, tmp_path / "running", 1).violations == []


def test_a_process_that_stood_still_for_longer_than_its_leases_undoes_nothing(tmp_path: Path) -> None:
    assert freeze(SQLITE, tmp_path / "running", 1).violations == []


@pytest.mark.campaign
def test_a_process_that_stood_still_leaves_no_orphan_in_s3(swift: Mapping[str, str], tmp_path: Path) -> None:
    """r1-H13"""
    s3 = Surroundings("S3", options_of(swift))
    assert freeze(SQLITE, tmp_path / "running", 2, surroundings=s3).violations == []


@pytest.mark.campaign
@pytest.mark.parametrize("server", ["postgres", "mariadb"])
def test_a_database_that_restarts_and_crashes_under_eight_clients_costs_nothing(
    server: str, tmp_path: Path
) -> None:
    assert restart(server, tmp_path / "restarted", 2).violations == []
