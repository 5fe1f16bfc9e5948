"""Calls that fail and connections to databases that break: the short form of `make faults`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.campaign.databases import Databases, running
from tests.faults.campaign.failing import fail
from tests.faults.campaign.phases import PHASES
from tests.faults.campaign.severing import sever

SQLITE = Databases("sqlite")
BY_NAME = {phase.name: phase for phase in PHASES}
campaign = pytest.mark.campaign


@pytest.mark.usefixtures("strace")
@pytest.mark.parametrize(
    "phase",
    [
        "upload, chunked",
        *(pytest.param(name, marks=campaign) for name in ("sweep", "delete", "import", "copy")),
    ],
)
def test_a_system_call_that_fails_is_reported_and_leaves_nothing(phase: str, tmp_path: Path) -> None:
    tally = fail(BY_NAME[phase], SQLITE, tmp_path / "walk", 3)

    assert tally.times > 0
    assert tally.violations == []


@pytest.fixture(scope="module", params=["postgres", pytest.param("mariadb", marks=campaign)])
def databases(request: pytest.FixtureRequest) -> Iterator[Databases]:
    with running(request.param) as found:
        yield found


@pytest.mark.parametrize("phase", ["upload to queued", pytest.param("delete", marks=campaign)])
def test_a_broken_connection_to_the_database_is_reported_and_leaves_nothing(
    databases: Databases, phase: str, tmp_path: Path
) -> None:
    tally = sever(BY_NAME[phase], databases, tmp_path / "walk", 3)

    assert tally.times > 0
    assert tally.violations == []
