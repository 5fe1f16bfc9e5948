"""Fixtures and Hypothesis settings of the core's tests."""

import pytest
from hypothesis import HealthCheck, settings

from tests.support.workbench import make_bench, make_database

# Machines differ in speed, and a fixture here is made to be used by many examples.
settings.register_profile(
    "calotype",
    max_examples=50,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.load_profile("calotype")


@pytest.fixture(scope="session")
def template(tmp_path_factory):
    """An empty database at the newest schema, to be copied."""
    return make_database(tmp_path_factory.mktemp("template") / "registry.sqlite")


@pytest.fixture
def bench(template):
    """A fresh database, store and lifecycle."""
    with make_bench(template) as made:
        yield made
