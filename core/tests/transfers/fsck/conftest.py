"""Fixtures of the tests of fsck."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from core.tests.transfers.fsck.stores import Changing
from tests.support.workbench import Bench, make_bench


@pytest.fixture
def bench(template) -> Iterator[Bench]:
    with make_bench(template, Changing()) as made:
        yield made
