"""Registering a URL: the accepted sources, and the recorded validators."""

from __future__ import annotations

import gzip
import json
import socket

import pytest

from calotype.stores import BadLocation, BlobNotFound, Unavailable
from calotype.stores.checked import CheckedStore
from calotype.testing import read_all
from plugins.store_http.tests.sources import DATA, DATE, serve
from tests.support.web import in_turn, raw, reply


@pytest.mark.parametrize("etag", ['W/"v1"', "v1", '"', '""', '"a\x01b"', '"' + "a" * 300 + '"', ""])
def test_a_weak_or_malformed_etag_is_not_recorded(etag, store, script, uri):
    script.page = serve(etag=etag)

    assert "etag" not in json.loads(store.register(uri).location)


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_source_that_refuses_us_counts_as_not_found(status, store, script, uri):
    location = store.register(uri).location
    script.page = reply(status, b"a page with an internal secret")

    for verb in (store.register, store.get, store.size):
        with pytest.raises(BlobNotFound, match=f"answers {status} [A-Z]") as failure:
            verb(uri if verb == store.register else location)
        assert "secret" not in str(failure.value)
        assert ("127.0.0.1" in str(failure.value)) == (verb == store.register)


def test_a_location_that_is_too_long_to_store_is_refused(store, script, uri):
    """r1-B3: the message names another way to get the image."""
    with pytest.raises(BadLocation, match=r"the URL has .* import the image, so that its bytes are copied"):
        store.register(script.url("/" + "a" * 1000))
    script.page = serve(etag='"' + "e" * 200 + '"')
    with pytest.raises(BadLocation, match="the database keeps 1024: import the image"):
        CheckedStore(store).register(script.url("/" + "a" * 900))


def test_registering_records_size_and_validators_and_reads_one_byte(store, script, uri):
    script.page = serve(modified=DATE)
    stored = store.register(uri)

    assert stored.size == len(DATA)
    assert json.loads(stored.location) == {"url": uri, "size": len(DATA), "etag": '"v1"', "modified": DATE}
    assert [request["Range"] for request in script.requests] == ["bytes=0-0"]


def test_a_source_without_ranges_is_registered_without_reading_it(store, script, uri):
    script.page = serve(ranges=False)

    assert store.register(uri).size == len(DATA)


def test_an_empty_source_is_registered(store, script, uri):
    script.page = serve(b"")
    stored = store.register(uri)

    assert stored.size == 0
    assert read_all(store.get(stored.location), limit=0) == b""


def test_a_source_of_unknown_length_is_registered_without_a_size(store, script, uri):
    script.page = raw(
        'HTTP/1.1 200 OK\nTransfer-Encoding: chunked\nETag: "v1"\n', b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    )
    stored = store.register(uri)

    assert stored.size is None
    assert store.size(stored.location) is None
    assert read_all(store.get(stored.location), limit=5) == b"abcde"
    assert read_all(store.get(stored.location, 3, 1), limit=2)[:1] == b"d"
    assert read_all(store.get(stored.location, 7), limit=0) == b""
    assert read_all(CheckedStore(store).get(stored.location, 1, 3), limit=3) == b"bcd"


def test_the_registered_url_is_the_given_one_and_not_the_target_of_its_redirect(store, script, uri):
    script.page = in_turn(reply(302, Location="/signed?for=a-minute"), serve())

    assert json.loads(store.register(uri).location)["url"] == uri


@pytest.mark.parametrize(
    "uri",
    [
        "https://user:secret@images.example/a.img",
        "http://127.1/a.img",
        "http://169.254.169.254/latest/meta-data/",
        "http://10.0.0.1/a.img",
        "http://[::1]/a.img",
        "http://localhost:22/a.img",
        "file:///etc/passwd",
        "ftp://images.example/a.img",
        "s3://bucket/key",
        "",
    ],
)
def test_a_location_that_the_filter_forbids_is_refused(uri, make_store):
    store = make_store(80, 443, allowed_networks=())
    for verb in (store.register, store.open_uri):
        with pytest.raises(BadLocation, match="is refused by the filter of this service: "):
            verb(uri)


def test_a_scheme_that_the_options_leave_out_is_refused(make_store, script):
    store = make_store(script.port, schemes=("https",))

    assert store.schemes == ("https",)
    with pytest.raises(BadLocation):
        store.register(script.url("/a.img"))
    assert script.requests == []


def test_a_redirect_to_a_forbidden_address_is_refused(store, script, uri):
    script.page = reply(302, Location="http://169.254.169.254/latest/meta-data/")

    for verb in (store.register, store.open_uri):
        with pytest.raises(BadLocation, match=r"at 169\.254\.169\.254 is refused by the filter"):
            verb(uri)


@pytest.mark.parametrize(
    "page",
    [
        reply(200, gzip.compress(DATA), Content_Encoding="gzip", ETag='"v1"'),
        reply(302, Location="/a.img"),
        reply(304),
        reply(300),
        reply(400),
        reply(204, Content_Length=None),
        reply(206, b"x"),
        reply(206, b"x", Content_Range="bytes 0-0"),
        reply(206, b"x", Content_Range="lines 0-0/5"),
        reply(206, b"--x", Content_Type="multipart/byteranges; boundary=x"),
        reply(200, b"", Content_Length="ten"),
        raw("HTTP/1.1 200 OK\n", b"no length, and the end is the connection's"),
    ],
)
def test_a_source_whose_response_cannot_be_used_is_refused(page, store, script, uri):
    script.page = page

    with pytest.raises(BadLocation, match=r"^store 'web': the source at 127\.0\.0\.1 "):
        store.register(uri)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_a_source_with_a_temporary_error_is_unavailable(status, store, script, uri):
    location = store.register(uri).location
    script.page = reply(status)

    for verb in (store.register, store.get, store.size):
        with pytest.raises(Unavailable, match=f"answers {status} [A-Z]") as failure:
            verb(uri if verb == store.register else location)
        assert ("127.0.0.1" in str(failure.value)) == (verb == store.register)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7), ("0", 1), ("999999", 3600), (None, 30), ("Tue, 01 Sep 2026 10:00:00 GMT", 30), ("-1", 30)],
)
def test_the_retry_after_of_a_source_is_passed_on(header, seconds, store, script, uri):
    script.page = reply(503, Retry_After=header)

    with pytest.raises(Unavailable) as failure:
        store.register(uri)
    assert failure.value.retry_after == seconds


def test_a_source_that_is_down_is_unavailable_and_named_only_to_the_caller_who_gave_its_url(make_store):
    """r1-E11: a reader of the image learns neither its host nor its URL."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        store, url = make_store(port), f"http://127.0.0.1:{port}/private/a.img?token=canary"
        for verb in (store.register, store.open_uri):
            with pytest.raises(Unavailable) as failure:
                verb(url)
            assert failure.value.reason == "the source at 127.0.0.1 refuses the connection"
        for verb in (store.get, store.size):
            with pytest.raises(Unavailable) as failure:
                verb(json.dumps({"url": url, "size": 5}, separators=(",", ":")))
            assert failure.value.reason == "the source refuses the connection"


def test_a_silent_source_is_unavailable(make_store):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]

        with pytest.raises(Unavailable):
            make_store(port, read_timeout=0.2).register(f"http://127.0.0.1:{port}/a.img")
