"""Servers with tokens, and those who ask them."""

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
    """A web server."""
    folder = tmp_path_factory.mktemp("web")
    with Web(folder=folder) as running:
        yield running


@pytest.fixture(scope="session")
def people(tmp_path_factory: pytest.TempPathFactory, web: Web) -> Iterator[People]:
    """Those who ask one server that all tests share."""
    found = start(tmp_path_factory.mktemp("people"), web)
    yield found
    found.server.stop()


@pytest.fixture
def start_people(tmp_path: Path, web: Web) -> Iterator[StartPeople]:
    """start_people(**{setting: value}): those who ask a server of this test's own."""
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
    """A member of project P1."""
    return people.u1


@pytest.fixture
def u2(people: People) -> Person:
    """A member of project P2."""
    return people.u2


@pytest.fixture
def r1(people: People) -> Person:
    """A reader of project P1."""
    return people.r1


@pytest.fixture
def adm(people: People) -> Person:
    """An administrator."""
    return people.adm
