"""Copies that are damaged or removed at rest, under clients: the short form of `make faults`."""

from __future__ import annotations

from pathlib import Path

import pytest

from calotype.model.findings import FindingKind
from tests.faults.campaign.damaging import damage
from tests.faults.campaign.databases import Databases
from tests.faults.campaign.killing import walk
from tests.faults.campaign.phases import PHASES

SCRUB = next(phase for phase in PHASES if phase.name == "scrub")
SQLITE = Databases("sqlite")


def test_copies_with_flipped_bits_are_restored_or_quarantined(tmp_path: Path) -> None:
    """r1-H13, r1-A6"""
    assert damage(FindingKind.WRONG_DIGEST, SQLITE, tmp_path / "rot", 1).violations == []


def test_missing_copies_are_all_found_and_never_404(tmp_path: Path) -> None:
    """r1-H13, r1-H6"""
    assert damage(FindingKind.MISSING, SQLITE, tmp_path / "lost", 1).violations == []


@pytest.mark.campaign
@pytest.mark.usefixtures("strace")
def test_a_scrubber_that_is_killed_during_a_restore_restores_the_copy_afterwards(tmp_path: Path) -> None:
    """r1-H13"""
    tally = walk(SCRUB, SQLITE, tmp_path / "walk", 3, calls=("linkat", "fdatasync"))

    assert tally.times > 0
    assert tally.violations == []
