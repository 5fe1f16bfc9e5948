"""The driver is tested from its sources, because it is not one of the project's own distributions."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.servers.fixtures import started

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))


@pytest.fixture(scope="session")
def nginx_dav() -> Iterator[Mapping[str, str]]:
    """A real nginx with WebDAV at /dav: NGINX_*."""
    with started("nginx", {"DAV": "1"}) as settings:
        yield settings


@pytest.fixture
def options(nginx_dav: Mapping[str, str]) -> dict[str, str]:
    """Return the options of a store in that nginx, as the text of ini keys."""
    return {
        "url": f"{nginx_dav['NGINX_DAV_URL']}/images",
        "username": nginx_dav["NGINX_DAV_USER"],
        "password": nginx_dav["NGINX_DAV_PASSWORD"],
    }
