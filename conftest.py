"""What all tests share: the fixtures that start real servers, and which tests are traced for coverage.

Lines count when core's own tests, the drivers' or the functional ones run them, in this process or
in a server's. The other suites look for faults in lines that are counted already; tracing would make
them and their servers half as slow again, so they run without it.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

import pytest

pytest_plugins = ["tests.servers.fixtures"]

ROOT = Path(__file__).parent
COUNTED = tuple(ROOT / folder for folder in ("core", "plugins", "tests/functional"))
#: Servers that functional tests share with others: whoever asks first starts them.
SHARED = {"server", "fresh_server", "lending_server"}
#: Where `patch = subprocess` of coverage tells processes to trace themselves.
TRACE = "COVERAGE_PROCESS_CONFIG"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Three workers for two cores: a third of the time tests wait, for servers and for what must not come."""
    cores = len(os.sched_getaffinity(0))
    return cores + (cores + 1) // 2


def is_counted(item: pytest.Item) -> bool:
    """Whether the lines that this test runs count."""
    return any(item.path.is_relative_to(folder) for folder in COUNTED)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Run a test that does not count, and start the processes that it needs, untraced."""
    if is_counted(item):
        return (yield)
    item.add_marker("no_cover")
    with pytest.MonkeyPatch.context() as environment:
        if SHARED.isdisjoint(item.fixturenames):
            environment.delenv(TRACE, raising=False)
        return (yield)
