"""The conformance kit against three sources: nginx, nginx with TLS, and one without ranges and ETags."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

import pytest

from calotype.stores import Store
from calotype.testing import FaultProxy, Proxied, StoreConformance

#: Names of planted files, never twice in a run.
NAMES = itertools.count()


class Files(StoreConformance):
    """A source whose bytes are files in `folder`, seen below `base`."""

    has_direct_urls = False  # clients cannot reach sources on loopback
    direct_urls_expire = False
    folder: Path
    base: str

    def plant(self, store: Store, data: bytes) -> str:
        name = f"{next(NAMES)}.img"
        (self.folder / name).write_bytes(data)
        return f"{self.base}/{name}"

    def replant(self, store: Store, planted: str, data: bytes) -> None:
        self._path(planted).write_bytes(data)

    def uproot(self, store: Store, planted: str) -> None:
        os.unlink(self._path(planted))

    def _path(self, planted: str) -> Path:
        return self.folder / planted.rpartition("/")[2]


@pytest.fixture(scope="session")
def web(
    nginx: Callable[..., Mapping[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, str]:
    """nginx before a folder of files, at /static/."""
    return nginx("http://127.0.0.1:9", files=tmp_path_factory.mktemp("files"))


class TestNginx(Files):
    """nginx behind a proxy, so that it can be taken away."""

    known_gaps: ClassVar = {
        "test_check_fails_while_the_place_is_away": "a store of external bytes has no place to check"
    }
    abilities = frozenset({"External", "DirectUrl", "ranges"})

    @pytest.fixture
    def store(self, web, make_store):
        server = urlsplit(web["NGINX_URL"])
        with FaultProxy(server.hostname, server.port) as self.proxy:
            self.folder, self.base = Path(web["NGINX_FILES"]), f"{self.proxy.url}/static"
            self.impatient = make_store(self.proxy.port, read_timeout=3)
            yield make_store(self.proxy.port)

    def proxied(self, store: Store) -> contextlib.AbstractContextManager[Proxied]:
        return contextlib.nullcontext(Proxied(self.impatient, self.proxy))

    def take_away(self, store: Store) -> contextlib.AbstractContextManager[None]:
        return self.proxy.away()


@pytest.mark.campaign
class TestNginxWithTls(Files):
    @pytest.fixture
    def store(self, web, make_store):
        self.folder, self.base = Path(web["NGINX_FILES"]), f"{web['NGINX_TLS_URL']}/static"
        return make_store(urlsplit(self.base).port, ca_bundle=web["NGINX_CACERT"], schemes=("https",))


@pytest.mark.campaign
class TestSourceWithoutRanges(Files):
    known_gaps: ClassVar = {"test_a_range_does_not_read_from_the_start": "the source has no ranges"}

    @pytest.fixture
    def store(self, plain, tmp_path, make_store):
        self.folder, self.base = tmp_path, plain.url("")
        return make_store(plain.port)
