"""What the campaigns in short need."""

from __future__ import annotations

import os

import pytest

from tests.faults.campaign.strace import program
from tests.servers.common import Unavailable


@pytest.fixture(scope="session")
def strace() -> str:
    """strace, where it is or can be installed."""
    try:
        return program()
    except Unavailable as error:
        if "CI" in os.environ:
            raise
        pytest.skip(str(error))
