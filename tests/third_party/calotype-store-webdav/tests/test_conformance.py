"""The conformance kit against a real nginx, over HTTP, and over TLS with a private CA."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from calotype_store_webdav import WebdavStore

from calotype.stores.options import read_options
from calotype.testing import Fault, FaultProxy, StoreConformance


@pytest.mark.campaign
class TestWebdavStore(StoreConformance):
    """A collection that the first test creates. Everything but complete images counts as left over."""

    @pytest.fixture
    def store(self, options: Mapping[str, str]) -> WebdavStore:
        driver = WebdavStore("dav", read_options("dav", WebdavStore.Options, options))
        driver.create()
        return driver

    @pytest.fixture(autouse=True)
    def _folder(self, nginx_dav: Mapping[str, str]) -> None:
        self.folder = Path(nginx_dav["NGINX_DAV_FILES"], "images")

    @contextlib.contextmanager
    def take_away(self, store: WebdavStore) -> Iterator[None]:
        away = self.folder.rename(self.folder.with_name("away"))
        yield
        away.rename(self.folder)

    def leftovers(self, store: WebdavStore) -> list[Path]:
        claims = (path for path in self.folder.iterdir() if not (path / "image").exists())
        return sorted([*claims, *self.folder.glob("*/part")])

    @contextlib.contextmanager
    def full(self, store: WebdavStore) -> Iterator[WebdavStore]:
        """A server that answers each PUT with 507, Insufficient Storage."""
        server = urlsplit(store.options.url)
        with FaultProxy(server.hostname, server.port) as proxy:
            proxy.inject(Fault("PUT ", status=507), times=None)
            with contextlib.closing(self._at(store, f"{proxy.url}{server.path}")) as full:
                yield full

    @staticmethod
    def _at(store: WebdavStore, url: str) -> WebdavStore:
        return WebdavStore(store.name, store.options.model_copy(update={"url": url}))


@pytest.mark.campaign
class TestWebdavStoreOverTls(TestWebdavStore):
    """The same cases over TLS, with a smaller large blob."""

    large_size = 8 << 20
    full = StoreConformance.full  # the proxy has no TLS

    @pytest.fixture
    def options(self, options: dict[str, str], nginx_dav: Mapping[str, str]) -> dict[str, str]:
        url = f"{nginx_dav['NGINX_DAV_TLS_URL']}/images"
        return {**options, "url": url, "ca_bundle": nginx_dav["NGINX_CACERT"]}
