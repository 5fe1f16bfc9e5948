"""The fault campaign in its short form, on SQLite. `make faults` kills more often, and on all databases."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.campaign.databases import Databases
from tests.faults.campaign.killing import strike, walk
from tests.faults.campaign.migrating import migrate
from tests.faults.campaign.phases import PHASES, Phase
from tests.faults.campaign.rehearsing import rehearse

SQLITE = Databases("sqlite")
BY_NAME = {phase.name: phase for phase in PHASES}


@pytest.mark.usefixtures("strace")
@pytest.mark.parametrize(
    "phase",
    [BY_NAME["upload, chunked"], pytest.param(BY_NAME["delete"], marks=pytest.mark.campaign)],
    ids=lambda phase: getattr(phase, "name", None),
)
def test_a_server_loses_nothing_when_it_is_killed_before_a_system_call(phase: Phase, tmp_path: Path) -> None:
    calls = ("linkat", "unlinkat", "fdatasync", "sendto")

    tally = walk(phase, SQLITE, tmp_path / "walk", 4, calls=calls)

    assert tally.times > 0
    assert tally.violations == []


def test_a_busy_server_loses_nothing_when_it_is_killed_at_any_moment(tmp_path: Path) -> None:
    assert strike(SQLITE, tmp_path / "strike", kills=2, seed=1).violations == []


@pytest.mark.campaign
@pytest.mark.usefixtures("strace")
def test_an_upgrade_of_the_database_that_was_killed_can_be_repeated(tmp_path: Path) -> None:
    assert migrate(SQLITE, tmp_path / "migration", 2).violations == []


def test_two_processes_answer_eight_clients_as_a_model_predicts(tmp_path: Path) -> None:
    assert rehearse(SQLITE, tmp_path / "rehearsal", seeds=1).violations == []
