"""Resumable uploads that are cut off at random moments: the short form of `make faults --uploads`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.faults.campaign.cutting import Cut, cut
from tests.faults.campaign.databases import Databases
from tests.faults.campaign.resuming import WAYS
from tests.faults.campaign.surroundings import Surroundings, options_of, swift_options_of

SQLITE = Databases("sqlite")


@pytest.mark.parametrize(
    ("how", "way"),
    [
        (Cut.CLIENT, "tus"),
        (Cut.CLIENT, "parallel"),
        (Cut.SERVER, "tus"),
        (Cut.SERVER, "draft"),
        (Cut.RESET, "draft"),
        (Cut.BOTH, "parallel"),
    ],
)
def test_a_resumed_upload_sends_only_the_parts_again_that_were_on_their_way(
    how: Cut, way: str, tmp_path: Path
) -> None:
    assert cut(how, SQLITE, tmp_path / "cut", 1, seed=WAYS.index(way)).violations == []


@pytest.mark.campaign
@pytest.mark.parametrize("how", Cut)
@pytest.mark.parametrize("store", ["S3", "Swift"])
def test_a_resumed_upload_leaves_nothing_in_its_backend(
    how: Cut, store: str, swift: Mapping[str, str], tmp_path: Path
) -> None:
    around = (
        Surroundings(store, options_of(swift))
        if store == "S3"
        else Surroundings(store, swift=swift_options_of(swift))
    )
    assert cut(how, SQLITE, tmp_path / "cut", 3, seed=1, surroundings=around).violations == []
