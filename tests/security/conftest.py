"""Fixtures of the security tests: servers in tokens mode, and people with tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.security.people import Guarded

StartGuarded = Callable[..., Guarded]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """A module's server with callers who have tokens. Other tests leave images on it.

    When it ends, its whole DEBUG log is searched for secrets.
    """
    started = Guarded(tmp_path_factory.mktemp("guarded"))
    yield started
    started.stop()


@pytest.fixture
def start_guarded(tmp_path: Path) -> Iterator[StartGuarded]:
    """Return a function `start_guarded(app={}, env={})` that starts such a server for one test."""
    with ExitStack() as stack:

        def start(app: Mapping[str, str] | None = None, **given: object) -> Guarded:
            folder = tmp_path / f"guarded{len(list(tmp_path.glob('guarded*')))}"
            folder.mkdir()
            started = Guarded(folder, app, **given)
            stack.callback(started.stop)
            return started

        yield start
