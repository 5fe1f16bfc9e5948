"""Fixtures of the driver's tests: sources, and a store that may fetch from loopback."""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from calotype_store_http import HttpOptions, HttpStore
from plugins.store_http.tests.sources import serve
from tests.support.web import Web

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)


@pytest.fixture
def script() -> Iterator[Web]:
    """A source that answers as the test says."""
    with Web() as started:
        yield started


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[Web]:
    """A source without ranges and ETags, before the files in tmp_path."""
    with Web(folder=tmp_path) as started:
        yield started


@pytest.fixture
def make_store() -> Iterator[Callable[..., HttpStore]]:
    """make_store(port, ..., option=value): a driver that may fetch from these ports of loopback."""
    with contextlib.ExitStack() as stack:

        def make(*ports: int, resolver: Callable | None = None, **options: object) -> HttpStore:
            given = {"ports": ports, "allowed_networks": LOOPBACK, "read_timeout": 20, **options}
            extra = {} if resolver is None else {"resolver": resolver}
            store = HttpStore("web", HttpOptions(**given), **extra)
            stack.callback(store.close)
            return store

        yield make


@pytest.fixture
def store(script, make_store):
    return make_store(script.port)


@pytest.fixture
def uri(script):
    script.page = serve()
    return script.url("/a.img")
