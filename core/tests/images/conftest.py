"""Fixtures of the tests of images."""

import pytest

from core.tests.images.verbs import DATA, LEASE, doors_of_the_database
from tests.support.workbench import make_bench, make_settings


@pytest.fixture
def hasty(template):
    """A bench with a short lease."""
    with make_bench(template, settings=make_settings(lease=LEASE)) as made:
        yield made


@pytest.fixture
def doors(bench, monkeypatch):
    return doors_of_the_database(bench, monkeypatch)


@pytest.fixture
def there(bench):
    bench.store.shelf.foreign["there"] = DATA
    return "memory:there"
