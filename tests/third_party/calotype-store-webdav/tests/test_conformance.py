"""The conformance kit against a real nginx, over HTTP, and over TLS with a private CA."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from calotype_store_webdav import WebdavStore

from calotype.stores.options import read_options
from calotype.testing import Fault, FaultProxy, Proxied, StoreConformance


@pytest.mark.campaign
class TestWebdavStore(StoreConformance):
    """A collection that the first test creates. Everything but complete images counts as left over."""

    abilities = frozenset({"WritableStore", "ranges"})
    location_form = "dav:{key}"

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
        with self._answering(store, 507) as full:
            yield full

    @contextlib.contextmanager
    def too_small(self, store: WebdavStore) -> Iterator[WebdavStore]:
        """A server that answers each PUT with 413, Content Too Large."""
        with self._answering(store, 413) as small:
            yield small

    def proxied(self, store: WebdavStore) -> contextlib.AbstractContextManager[Proxied]:
        return self._through_proxy(store, read_timeout=3)

    @contextlib.contextmanager
    def _answering(self, store: WebdavStore, status: int) -> Iterator[WebdavStore]:
        with self._through_proxy(store) as proxied:
            proxied.proxy.inject(Fault("PUT ", status=status), times=None)
            yield proxied.store

    @staticmethod
    @contextlib.contextmanager
    def _through_proxy(store: WebdavStore, **options: object) -> Iterator[Proxied]:
        server = urlsplit(store.options.url)
        with FaultProxy(server.hostname, server.port) as proxy:
            changed = store.options.model_copy(update={"url": f"{proxy.url}{server.path}", **options})
            with contextlib.closing(WebdavStore(store.name, changed)) as driver:
                yield Proxied(driver, proxy)


@pytest.mark.campaign
class TestWebdavStoreOverTls(TestWebdavStore):
    """The same cases over TLS, with a smaller large blob."""

    large_size = 8 << 20
    # The proxy has no TLS.
    full = StoreConformance.full
    too_small = StoreConformance.too_small
    proxied = StoreConformance.proxied

    @pytest.fixture
    def options(self, options: dict[str, str], nginx_dav: Mapping[str, str]) -> dict[str, str]:
        url = f"{nginx_dav['NGINX_DAV_TLS_URL']}/images"
        return {**options, "url": url, "ca_bundle": nginx_dav["NGINX_CACERT"]}
