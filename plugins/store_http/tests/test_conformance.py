"""The conformance kit against three sources: nginx, nginx with TLS, and one without ranges and ETags."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from calotype.stores import Store
from calotype.testing import StoreConformance

#: Names of planted files, never twice in a run.
NAMES = itertools.count()


class Files(StoreConformance):
    """A source whose bytes are files in `folder`, seen below `base`."""

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
    @pytest.fixture
    def store(self, web, make_store):
        self.folder, self.base = Path(web["NGINX_FILES"]), f"{web['NGINX_URL']}/static"
        return make_store(urlsplit(self.base).port)


@pytest.mark.campaign
class TestNginxWithTls(Files):
    @pytest.fixture
    def store(self, web, make_store):
        self.folder, self.base = Path(web["NGINX_FILES"]), f"{web['NGINX_TLS_URL']}/static"
        return make_store(urlsplit(self.base).port, ca_bundle=web["NGINX_CACERT"], schemes=("https",))


@pytest.mark.campaign
class TestSourceWithoutRanges(Files):
    @pytest.fixture
    def store(self, plain, tmp_path, make_store):
        self.folder, self.base = tmp_path, plain.url("")
        return make_store(plain.port)
