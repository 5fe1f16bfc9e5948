"""Fixtures of the tests of the scrubber."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from core.tests.transfers.scrubbing.copies import Place
from tests.support.workbench import Bench


@pytest.fixture
def place(bench: Bench) -> Iterator[Place]:
    made = Place(bench)
    yield made
    made.lifecycle.close()
