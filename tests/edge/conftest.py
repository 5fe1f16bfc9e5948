"""Fixtures for tests of the server."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.edge.applications import Application
from tests.edge.processes import Service, StartService
from tests.edge.serving import Edge
from tests.servers.common import free_ports
from tests.support.forked import run_manage
from tests.support.server import INI

StartEdge = Callable[..., Edge]


@pytest.fixture(scope="session")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of 20 MiB of random bytes."""
    path = tmp_path_factory.mktemp("edge") / "file"
    path.write_bytes(random.Random(0).randbytes(20 << 20))
    return path


@pytest.fixture
def app(file: Path) -> Application:
    """The application, with that file."""
    return Application(file)


@pytest.fixture
def start_edge(app: Application) -> Iterator[StartEdge]:
    """start_edge(**settings): a server of the application; ended after the test."""
    with ExitStack() as stack:

        def start(**settings: object) -> Edge:
            edge = Edge(app, **settings)
            stack.callback(edge.stop)
            stack.callback(app.go_on.set)
            return edge

        yield start


@pytest.fixture
def edge(start_edge: StartEdge) -> Edge:
    """A server of the application, with the settings that we ship."""
    return start_edge()


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with a database and a store."""
    home = tmp_path_factory.mktemp("template")
    done = run_manage(["stores", INI, f"data_dir={home}", "--create", "file"])
    assert done.returncode == 0, done.stderr
    (home / "text").write_text("This is no database. " * 100)
    return home


@pytest.fixture
def start_service(tmp_path: Path) -> Iterator[StartService]:
    """start_service(**settings): a server of several processes; ended after the test."""
    with ExitStack() as stack:

        def start(**given: object) -> Service:
            folder = tmp_path / f"service{len(list(tmp_path.iterdir()))}"
            folder.mkdir()
            service = Service(folder, **given)
            stack.callback(service.kill)
            return service

        yield start


@pytest.fixture
def free_port() -> int:
    """A port at which nothing listens."""
    (port,) = free_ports(1)
    return port
