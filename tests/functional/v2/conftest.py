"""Servers with tokens, and their callers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.v2 import People, Person, fresh, start
from tests.support.web import Web

StartPeople = Callable[..., People]


@pytest.fixture(scope="session")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """Yield a web server."""
    folder = tmp_path_factory.mktemp("web")
    with Web(folder=folder) as running:
        yield running


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory, web: Web) -> Iterator[People]:
    """Yield the callers of a server that all tests of a module share."""
    found = start(tmp_path_factory.mktemp("people"), web)
    yield found
    found.server.stop()


@pytest.fixture
def start_people(tmp_path: Path, web: Web) -> Iterator[StartPeople]:
    """Yield `start_people(**settings)`, which returns the callers of a new server."""
    with ExitStack() as stack:

        def begin(**settings: str) -> People:
            folder = tmp_path / fresh()
            folder.mkdir()
            found = start(folder, web, **settings)
            stack.callback(found.server.stop)
            return found

        yield begin


@pytest.fixture
def u1(people: People) -> Person:
    """Return a member of project P1."""
    return people.u1


@pytest.fixture
def u2(people: People) -> Person:
    """Return a member of project P2."""
    return people.u2


@pytest.fixture
def r1(people: People) -> Person:
    """Return a reader of project P1."""
    return people.r1


@pytest.fixture
def adm(people: People) -> Person:
    """Return an administrator."""
    return people.adm
