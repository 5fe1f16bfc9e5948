"""What all tests share: the fixtures that start real servers, and which tests are traced for coverage.

Lines count when a test of a COUNTED folder or module runs them, in this process or in a server's. The other
suites look for faults in lines that are counted already; tracing would make them and their servers
half as slow again, so they run without it.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

# Helpers of tests assert too, and under `python -O` only what pytest rewrites does.
pytest.register_assert_rewrite("tests", "core.tests", "plugins")
pytest_plugins = ["tests.servers.fixtures"]

ROOT = Path(__file__).parent
COUNTED = tuple(
    ROOT / folder
    for folder in (
        "core",
        "server",
        "client",
        "plugins",
        "tests/functional",
        "tests/edge/test_mistakes.py",
        "tests/edge/test_command_mistakes.py",
    )
)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Three workers for two cores: a third of the time tests wait, for servers and for what must not come."""
    cores = len(os.sched_getaffinity(0))
    return cores + (cores + 1) // 2


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Run a test that does not count, and start the processes that it needs, untraced."""
    from tests.support.forked import TRACE  # not before its asserts are rewritten

    if any(item.path.is_relative_to(folder) for folder in COUNTED):
        return (yield)
    with untraced(), pytest.MonkeyPatch.context() as environment:
        environment.delenv(TRACE, raising=False)
        return (yield)


@contextlib.contextmanager
def untraced() -> Iterator[None]:
    """No line of this thread, nor of one that begins meanwhile, is traced.

    pytest-cov's own `no_cover` stops one tracer, and a worker of pytest-xdist has several.
    """
    here, later = sys.gettrace(), threading.gettrace()
    sys.settrace(None)
    threading.settrace(None)
    try:
        yield
    finally:
        threading.settrace(later)
        sys.settrace(here)
