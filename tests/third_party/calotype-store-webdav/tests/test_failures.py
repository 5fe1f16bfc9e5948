"""Failures of a WebDAV server: each is reported without host or password, and leaves nothing."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from calotype_store_webdav import WebdavStore

from calotype.stores import BlobNotFound, ConfigurationError, StoreError, StoreFull, TooLarge, Unavailable
from calotype.stores.options import read_options
from calotype.testing import Fault, FaultProxy, Trickle, assert_same, pattern, read_all
from tests.servers.common import free_ports

DATA = pattern(3_000_000)

Make = Callable[..., WebdavStore]


@pytest.fixture
def make(options: dict[str, str]) -> Iterator[Make]:
    """Return a function that makes stores for one existing collection. They are closed at the end."""
    made = []

    def make_store(**other: object) -> WebdavStore:
        given = {**options, **{name: str(value) for name, value in other.items()}}
        made.append(WebdavStore("dav", read_options("dav", WebdavStore.Options, given)))
        return made[-1]

    make_store().create()
    yield make_store
    for store in made:
        store.close()


@pytest.fixture
def proxy(options: dict[str, str]) -> Iterator[FaultProxy]:
    """A proxy in front of nginx that fails on demand."""
    server = urlsplit(options["url"])
    with FaultProxy(server.hostname, server.port) as running:
        yield running


@pytest.fixture
def through(proxy: FaultProxy, make: Make) -> WebdavStore:
    """A store whose requests go through the proxy."""
    return make(url=f"{proxy.url}/dav/images", read_timeout=5)


def assert_says_no_secret(error: StoreError, options: dict[str, str]) -> None:
    assert error.store == "dav"
    for secret in (options["password"], urlsplit(options["url"]).netloc, "127.0.0.1", "/dav/"):
        assert secret not in str(error)


def refused(call: Callable[[], object], options: dict[str, str], kind: type = Unavailable) -> str:
    with pytest.raises(kind) as caught:
        call()
    assert_says_no_secret(caught.value, options)
    return caught.value.reason


def test_a_wrong_password_is_reported_with_the_options_to_set(make: Make, options: dict[str, str]) -> None:
    store = make(password="wrong-canary")
    for call in (store.check, store.create, lambda: store.add("key.1", io.BytesIO(b"x"), 1)):
        reason = refused(call, options)
        assert "set username and password" in reason
        assert "canary" not in reason


def test_a_missing_collection_is_reported(make: Make, options: dict[str, str]) -> None:
    store = make(url=f"{options['url']}/not/there")
    assert "create = true" in refused(store.check, options)
    assert "create = true" in refused(lambda: store.add("key.1", io.BytesIO(b"x"), 1), options)


def test_a_server_without_webdav_is_reported(
    make: Make, options: dict[str, str], nginx_dav: dict[str, str]
) -> None:
    Path(nginx_dav["NGINX_FILES"], "plain").mkdir(exist_ok=True)
    store = make(url=f"{nginx_dav['NGINX_URL']}/static/plain")
    assert "WebDAV" in refused(lambda: store.add("key.1", io.BytesIO(b"x"), 1), options)


def test_a_refused_connection_is_reported(make: Make, options: dict[str, str]) -> None:
    store = make(url=f"http://127.0.0.1:{free_ports(1)[0]}/dav/images")
    for call in (store.check, lambda: store.get("dav:key.1"), lambda: store.add("key.1", io.BytesIO(b"x"))):
        assert "cannot be connected to" in refused(call, options)


def test_an_unknown_certificate_is_reported(
    make: Make, options: dict[str, str], nginx_dav: dict[str, str]
) -> None:
    store = make(url=f"{nginx_dav['NGINX_DAV_TLS_URL']}/images")
    assert "TLS failed (set ca_bundle" in refused(store.check, options)


@pytest.mark.parametrize(
    ("status", "kind", "told"),
    [
        (413, TooLarge, "larger"),
        (507, StoreFull, "room"),
        (403, Unavailable, "rights"),
        (500, Unavailable, "500"),
        (503, Unavailable, "503"),
        (302, Unavailable, "302"),
    ],
)
def test_a_put_that_is_refused_leaves_nothing(
    through: WebdavStore, proxy: FaultProxy, options: dict[str, str], status: int, kind: type, told: str
) -> None:
    proxy.inject(Fault("PUT ", status=status, headers=(("Location", "http://elsewhere.example/"),)))
    assert told in refused(lambda: through.add("key.2", io.BytesIO(b"bytes"), 5), options, kind)
    assert_nothing_lies_under("key.2", through)


@pytest.mark.parametrize(
    "fault",
    [
        Fault("PUT ", reset_up=1_000_000),
        Fault("PUT ", deaf=True),
        Fault("MOVE ", deaf=True),
        Fault("MOVE ", refuse=True),
        Fault("HEAD ", status=500),
    ],
    ids=lambda fault: f"{fault.line}{'deaf' if fault.deaf else 'refused' if fault.refuse else 'broken'}",
)
@pytest.mark.parametrize("size", [len(DATA), None])
def test_an_upload_that_breaks_leaves_nothing(
    through: WebdavStore, proxy: FaultProxy, options: dict[str, str], fault: Fault, size: int | None
) -> None:
    proxy.inject(fault)
    refused(lambda: through.add("key.3", Trickle(DATA), size), options)
    assert_nothing_lies_under("key.3", through)


@pytest.mark.parametrize("fault", [Fault("GET ", reset_down=1000), Fault("GET ", truncate_down=1000)])
def test_a_download_that_breaks_continues_and_is_never_short(
    through: WebdavStore, proxy: FaultProxy, options: dict[str, str], fault: Fault
) -> None:
    location = through.add("key.4", io.BytesIO(DATA), len(DATA)).location
    try:
        proxy.inject(fault)
        assert_same(read_all(through.get(location), limit=len(DATA)), DATA)
        proxy.inject(fault)
        proxy.inject(replace(fault, reset_down=0, truncate_down=None), times=2)
        reader = through.get(location)
        refused(lambda: read_all(reader, limit=len(DATA)), options)
        assert_same(read_all(through.get(location), limit=len(DATA)), DATA)
    finally:
        through.delete(location)


@pytest.mark.parametrize(
    "url",
    ["ftp://host/x", "http://user:key@host/x", "http://host/x?y", "http://host/../x y", "http:///x", "x"],
)
def test_an_invalid_url_stops_the_start(make: Make, url: str) -> None:
    with pytest.raises(ConfigurationError, match="option url"):
        make(url=url)


def assert_nothing_lies_under(key: str, store: WebdavStore) -> None:
    with pytest.raises(BlobNotFound):
        store.get(f"dav:{key}")
    with pytest.raises(BlobNotFound):
        store.delete(f"dav:{key}")
