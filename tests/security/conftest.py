"""Fixtures of the security tests: servers in tokens mode, and people with tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.security.people import Guarded

StartGuarded = Callable[..., Guarded]


@pytest.fixture(scope="session")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """A shared server that knows people by tokens; a test must not count on its being empty.

    When it ends, its whole log, written at DEBUG, is searched for secrets.
    """
    started = Guarded(tmp_path_factory.mktemp("guarded"))
    yield started
    started.stop()


@pytest.fixture
def start_guarded(tmp_path: Path) -> Iterator[StartGuarded]:
    """start_guarded(app={}, env={}): such a server of this test's own."""
    with ExitStack() as stack:

        def start(app: Mapping[str, str] | None = None, **given: object) -> Guarded:
            folder = tmp_path / f"guarded{len(list(tmp_path.glob('guarded*')))}"
            folder.mkdir()
            started = Guarded(folder, app, **given)
            stack.callback(started.stop)
            return started

        yield start
