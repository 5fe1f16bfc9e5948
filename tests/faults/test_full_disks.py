"""A disk that is filled and emptied during kills: the short form of `make faults`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.faults.campaign.databases import Databases
from tests.faults.campaign.filling import fill
from tests.support.disks import NoDisk

SQLITE = Databases("sqlite")


@pytest.mark.campaign
def test_a_disk_full_of_images_and_sqlite_can_be_emptied_through_the_api(tmp_path: Path) -> None:
    """r1-H13, r1-H1"""
    try:
        assert fill(SQLITE, tmp_path / "full", 1).violations == []
    except NoDisk:
        if "CI" in os.environ:
            raise
        pytest.skip("needs the right to mount a file system")
