"""Connections that break or stall during a download."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from calotype.stores import BlobChanged, Unavailable
from calotype.stores.checked import CheckedStore
from calotype.testing import Fault, FaultProxy, read_all
from plugins.store_http.tests.sources import DATA, cut, serve
from tests.support.web import in_turn, raw


def test_a_download_does_not_resume_on_a_source_that_changed(store, script, uri):
    location = store.register(uri).location
    script.page = in_turn(cut(serve(), 1000), serve(DATA[::-1], etag='"v2"'))
    reader = store.get(location)

    with pytest.raises(BlobChanged):
        read_all(reader, limit=len(DATA))


def test_a_download_does_not_resume_without_a_validator(store, script, uri):
    script.page = serve(etag=None)
    location = store.register(uri).location
    script.page = in_turn(cut(serve(etag=None), 1000), serve(etag=None))

    with pytest.raises(Unavailable):
        read_all(store.get(location), limit=len(DATA))


def test_a_short_body_is_never_mistaken_for_the_whole_image(script, uri, make_store):
    store = make_store(script.port, retries=0)
    location = store.register(uri).location
    script.page = raw('HTTP/1.1 200 OK\nTransfer-Encoding: chunked\nETag: "v1"\n', b"3\r\nabc\r\n0\r\n\r\n")

    with pytest.raises(Unavailable):
        read_all(store.get(location), limit=len(DATA))


@pytest.mark.parametrize("ranges", [True, False])
def test_an_interrupted_download_resumes_at_the_next_byte(ranges, store, script, uri):
    page = serve(ranges=ranges)
    location = store.register(uri).location
    script.page = in_turn(cut(page, 100_000), cut(page, 150_000 if ranges else 260_000), page)

    assert read_all(store.get(location), limit=len(DATA)) == DATA
    if ranges:
        assert [r.get("Range") for r in script.requests[1:]] == [
            None,
            f"bytes=100000-{len(DATA) - 1}",
            f"bytes=250000-{len(DATA) - 1}",
        ]


def test_an_image_on_nginx_is_read_completely_over_breaking_connections(web_uri, make_store):
    parts = urlsplit(web_uri)
    with FaultProxy("127.0.0.1", parts.port) as proxy:
        store = make_store(urlsplit(proxy.url).port)
        location = store.register(f"{proxy.url}{parts.path}").location
        proxy.inject(Fault("GET ", reset_down=70_000), times=1)
        proxy.inject(Fault("GET ", truncate_down=90_000), times=1)

        assert read_all(store.get(location), limit=len(DATA)) == DATA


@pytest.fixture
def web_uri(nginx, tmp_path):
    tmp_path.chmod(0o755)
    (tmp_path / "a.img").write_bytes(DATA)
    return nginx("http://127.0.0.1:9", files=tmp_path)["NGINX_URL"] + "/static/a.img"


def test_a_download_that_breaks_off_again_and_again_is_an_error(script, uri, make_store):
    store = make_store(script.port, retries=2)
    location = store.register(uri).location
    script.page = cut(serve(), 1000)

    with pytest.raises(Unavailable):
        read_all(store.get(location), limit=len(DATA))
    assert len(script.requests) == 1 + 3


def test_a_download_from_a_source_that_is_too_slow_is_aborted(script, uri, make_store):
    store = make_store(script.port, read_timeout=0.2, retries=0)
    location = store.register(uri).location
    script.page = raw(f'HTTP/1.1 200 OK\nContent-Length: {len(DATA)}\nETag: "v1"\n', DATA[:1000])
    stall = script.page

    def silent(handler):
        stall(handler)
        handler.rfile.read(1)  # until the other side gives up

    script.page = silent
    with pytest.raises(Unavailable):
        read_all(store.get(location), limit=len(DATA))


def test_clients_are_sent_to_public_sources_only(script, uri, make_store):
    """The core's option `redirect` decides about sending clients anywhere."""

    def names(host, port):
        return ["93.184.216.34"] if host == "mirror.example" else ["127.0.0.1"]

    store = CheckedStore(make_store(80, resolver=names))
    public = '{"url":"http://mirror.example/a.img","size":5}'
    private = '{"url":"http://intern.example/a.img","size":5}'

    assert store.direct_url(public, 60) == "http://mirror.example/a.img"
    assert store.direct_url(private, 60) is None
    assert store.redirect is False
