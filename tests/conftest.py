"""Fixtures of the tests that speak to a running server."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.distributions import LENDING, on_path, write_distribution
from tests.support.environment import build_wheels
from tests.support.forked import TRACE
from tests.support.server import Server, write_ini

StartServer = Callable[..., Server]

#: The variable that makes a server measure its coverage, if coverage is measured.
_TRACED = {name: value for name, value in os.environ.items() if name == TRACE}


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server of calotype.ini as it ships; shared, so a test must not count on its being empty.

    Its coverage is measured even if a test that does not count is the first to need it.
    """
    running = Server(tmp_path_factory.mktemp("server"), env=_TRACED)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def lending_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A module's server with a second store that takes locations: it knows the bytes at `memory:lent`."""
    folder = tmp_path_factory.mktemp("lending")
    plugin = write_distribution(
        folder / "plugin", "test-lending", {"lending": "lending_driver:LendingStore"}, LENDING
    )
    running = Server(folder, write_ini(folder, {"store.lending.driver": "lending"}), env=on_path(plugin))
    yield running
    running.stop()


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[StartServer]:
    """start_server(app={}, server={}, **arguments of Server): a server of this test's own."""
    with ExitStack() as stack:

        def start(
            app: Mapping[str, str] | None = None, server: Mapping[str, str] | None = None, **given: object
        ) -> Server:
            folder = tmp_path / f"server{len(list(tmp_path.glob('server*')))}"
            folder.mkdir()
            running = Server(folder, write_ini(folder, app, server), **given)
            stack.callback(running.stop)
            return running

        yield start


@pytest.fixture(scope="module")
def _emptied_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("emptied"))
    yield running
    running.stop()


@pytest.fixture
def fresh_server(_emptied_server: Server) -> Server:
    """A server without any image: what other tests left is deleted first, for starting one takes long."""
    for (image_id,) in _emptied_server.query("SELECT id FROM images WHERE status <> 'deleted'"):
        assert _emptied_server.delete(f"/images/{image_id}").status == 200
    return _emptied_server


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Source folder -> wheel, of the core and of each driver: built once in a run, for all its workers."""
    folder = tmp_path_factory.getbasetemp()
    run = folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder
    return build_wheels(run / "wheels")
