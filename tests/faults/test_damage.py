"""Copies that were damaged or removed at rest, under clients: `make faults` in short."""

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


def test_copies_whose_bits_flip_are_restored_from_good_ones_or_flagged_and_kept(tmp_path: Path) -> None:
    """r1-H13, r1-A6"""
    assert damage(FindingKind.WRONG_DIGEST, SQLITE, tmp_path / "rot", 1).violations == []


def test_copies_that_vanish_are_never_404_and_all_of_them_are_found(tmp_path: Path) -> None:
    """r1-H13, r1-H6"""
    assert damage(FindingKind.MISSING, SQLITE, tmp_path / "lost", 1).violations == []


@pytest.mark.campaign
@pytest.mark.usefixtures("strace")
def test_a_scrubber_that_is_killed_while_it_restores_a_copy_restores_it_afterwards(tmp_path: Path) -> None:
    """r1-H13"""
    tally = walk(SCRUB, SQLITE, tmp_path / "walk", 3, calls=("linkat", "fdatasync"))

    assert tally.times > 0
    assert tally.violations == []
