"""Servers for the v1 tests: one without identity, one with tenants, one that may fetch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.support.callers import Tokens
from tests.support.server import Server, write_ini
from tests.support.v1 import V1
from tests.support.web import Web


@pytest.fixture(scope="session")
def v1(server: Server) -> V1:
    """Return a client of the shared server, where every caller is an administrator of `default`."""
    return V1(server)


@pytest.fixture
def fresh(fresh_server: Server) -> V1:
    """Return a client of a server without images."""
    return V1(fresh_server)


@dataclass(frozen=True)
class Tenants:
    """Callers of one server: members of three projects, an administrator, and both without a project."""

    a: V1
    b: V1
    c: V1
    admin: V1
    homeless: V1
    overseer: V1


@pytest.fixture(scope="module")
def tenants(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tenants]:
    """Yield callers of a server with tokens."""
    folder = tmp_path_factory.mktemp("tenants")
    tokens = Tokens(folder)
    given = [tokens.add(name, name, ("member",), None) for name in ("A", "Bt", "C")]
    given.append(tokens.add("ADM", "ADM", ("admin",), None))
    given.append(tokens.add("homeless", None, ("member",), None))
    given.append(tokens.add("overseer", None, ("admin",), None))
    server = Server(folder, write_ini(folder, tokens.settings))
    yield Tenants(*(V1(server, token) for token in given))
    server.stop()


@pytest.fixture(scope="session")
def source() -> Iterator[Web]:
    """Yield a web server to fetch images from."""
    with Web() as running:
        yield running


def fetching_settings(source: Web) -> dict[str, str]:
    """Return settings that allow a server to fetch from this source only."""
    return {
        "store.http.allowed_networks": "127.0.0.1/32",
        "store.http.ports": str(source.port),
        "store.http.retries": "0",
        "calotype.job_patience": "0",  # an interrupted source fails at once
    }


@pytest.fixture(scope="module")
def fetching(source: Web, tmp_path_factory: pytest.TempPathFactory) -> Iterator[V1]:
    """Yield a client of a server that may fetch from the source."""
    folder = tmp_path_factory.mktemp("fetching-v1")
    running = Server(folder, write_ini(folder, fetching_settings(source)))
    yield V1(running)
    running.stop()
