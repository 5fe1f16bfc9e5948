"""Fixtures of the short forms of the campaigns."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from tests.faults.campaign.clocks import library
from tests.faults.campaign.strace import program
from tests.servers.common import Unavailable


@pytest.fixture(scope="session")
def strace() -> str:
    """The path of strace, which is installed first if possible."""
    return _found(program)


@pytest.fixture(scope="session")
def faketime() -> str:
    """The path of libfaketime, which is installed first if possible."""
    return _found(library)


def _found(find: Callable[[], str]) -> str:
    try:
        return find()
    except Unavailable as error:
        if "CI" in os.environ:
            raise
        pytest.skip(str(error))
