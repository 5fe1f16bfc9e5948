"""What the campaigns in short need."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from tests.faults.campaign.clocks import library
from tests.faults.campaign.strace import program
from tests.servers.common import Unavailable


@pytest.fixture(scope="session")
def strace() -> str:
    """strace, where it is or can be installed."""
    return _found(program)


@pytest.fixture(scope="session")
def faketime() -> str:
    """libfaketime, likewise."""
    return _found(library)


def _found(find: Callable[[], str]) -> str:
    try:
        return find()
    except Unavailable as error:
        if "CI" in os.environ:
            raise
        pytest.skip(str(error))
