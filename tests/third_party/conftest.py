"""One environment with the released wheels and a third party's, for all tests here."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.common import RUN
from tests.support.environment import STRANGERS, Environment

#: Where the rest comes from: what is here already; with `make campaigns`, the package index too.
REST = ("here", pytest.param("index", marks=pytest.mark.campaign))


@pytest.fixture(scope="session", params=REST)
def installed(request: pytest.FixtureRequest, wheels: dict[str, Path]) -> Iterator[Environment]:
    """The environment with core, the file store and the third parties'.

    It may be large, so it does not outlive the session, even when that is killed.
    """
    ours = [wheels["server"], wheels["plugins/store_file"], *(wheels[one] for one in STRANGERS)]
    with tempfile.TemporaryDirectory(prefix="calotype-environment-", dir=os.environ[RUN]) as folder:
        made = Environment(Path(folder, "venv"), linked=request.param == "here")
        if request.param == "here":
            made.pip("install", "--quiet", "--no-deps", "--no-index", wheels["core"], *ours)
        else:
            made.pip("install", "--quiet", f"calotype-core[testing] @ {wheels['core'].as_uri()}", *ours)
        yield made
