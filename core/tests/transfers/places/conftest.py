"""Two databases, and a place that both could claim."""

import shutil

import pytest

from calotype.testing import MemoryStore
from core.tests.transfers.places.opening import Away
from tests.support.workbench import open_database


@pytest.fixture
def database(template, tmp_path):
    made = open_database(shutil.copy(template, tmp_path / "one.sqlite"))
    yield made
    made.close()


@pytest.fixture
def stranger(template, tmp_path):
    """A second database, with an id of its own."""
    made = open_database(shutil.copy(template, tmp_path / "two.sqlite"))
    with made.unit() as unit:
        unit.renew_identity()
    yield made
    made.close()


@pytest.fixture
def options():
    """The options of stores that share one place."""
    return MemoryStore.Options()


@pytest.fixture
def away(options):
    """A store that is unavailable until a test sets `away` on its class."""

    class Store(Away):
        pass

    return Store("a", options)
