"""Reading a registered source, and noticing that it changed."""

from __future__ import annotations

import json

import pytest

from calotype.stores import BadLocation, BlobChanged, Unavailable
from calotype.testing import read_all
from plugins.store_http.tests.sources import DATA, DATE, serve
from tests.support.web import raw, reply


def test_a_read_of_a_range_requests_only_that_range(store, script, uri):
    location = store.register(uri).location

    assert read_all(store.get(location, 1000, 500), limit=500) == DATA[1000:1500]
    assert script.requests[-1]["Range"] == "bytes=1000-1499"
    assert script.requests[-1]["If-Match"] == '"v1"'


def test_a_source_without_an_etag_is_checked_by_its_date(store, script, uri):
    script.page = serve(etag=None, modified=DATE)
    location = store.register(uri).location

    assert read_all(store.get(location), limit=len(DATA)) == DATA
    assert script.requests[-1]["If-Unmodified-Since"] == DATE


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (serve(), serve(etag='"v2"')),
        (serve(), serve(etag='W/"v1"')),
        (serve(), serve(etag=None)),
        (serve(), serve(DATA + b"x")),
        (serve(), serve(DATA[:-1])),
        (serve(), reply(412)),
        (serve(etag=None, modified=DATE), serve(etag=None, modified=DATE.replace("01", "02"))),
        (serve(etag=None, modified=DATE), serve(etag='"v1"')),
        (serve(etag=None), serve(DATA[1:], etag=None)),
    ],
)
@pytest.mark.parametrize("ranges", [(), (5, 10)])
def test_a_source_that_changed_is_not_read(before, after, ranges, store, script, uri):
    script.page = before
    location = store.register(uri).location
    script.page = after

    with pytest.raises(BlobChanged):
        store.get(location, *ranges)
    with pytest.raises(BlobChanged):
        store.size(location)


def test_a_validator_that_the_source_has_added_is_not_reported_as_a_change(store, script, uri):
    script.page = serve(etag=None, modified=DATE)
    location = store.register(uri).location
    script.page = serve(etag='"v1"', modified=DATE)

    assert read_all(store.get(location), limit=len(DATA)) == DATA


def test_a_source_with_more_bytes_than_its_size_is_an_error(store, script, uri):
    location = store.register(uri).location
    size = f"{len(DATA):x}\r\n".encode()
    chunked = 'HTTP/1.1 200 OK\nTransfer-Encoding: chunked\nETag: "v1"\n'
    script.page = raw(chunked, size + DATA + b"\r\n1\r\nx\r\n0\r\n\r\n")
    with pytest.raises(BlobChanged):
        read_all(store.get(location), limit=len(DATA) + 1)

    script.page = raw(chunked, size + DATA + b"\r\n0\r\n\r\n")
    assert read_all(store.get(location), limit=len(DATA)) == DATA


def test_a_response_with_another_range_than_requested_is_refused(store, script, uri):
    location = store.register(uri).location
    script.page = reply(206, DATA[9:19], Content_Range=f"bytes 9-18/{len(DATA)}", ETag='"v1"')

    with pytest.raises(Unavailable):
        store.get(location, 5, 10)


def test_if_a_source_no_longer_supports_ranges_the_bytes_before_the_offset_are_skipped(store, script, uri):
    location = store.register(uri).location
    script.page = serve(ranges=False)

    assert read_all(store.get(location, 250_000, 100), limit=100) == DATA[250_000:250_100]


@pytest.mark.parametrize(
    "location", ["http://169.254.169.254/x", "http://user@127.0.0.1/x", "file:///etc/passwd"]
)
def test_a_tampered_location_is_not_fetched(location, store):
    for verb in (store.get, store.size):
        with pytest.raises(BadLocation):
            verb(json.dumps({"url": location, "size": 5}, separators=(",", ":")))


def test_a_name_that_now_resolves_to_a_forbidden_address_is_not_fetched(script, uri, make_store):
    answers = iter(["127.0.0.1", "169.254.169.254"])
    store = make_store(script.port, resolver=lambda host, port: [next(answers)])
    location = store.register(f"http://mirror.example:{script.port}/a.img").location

    with pytest.raises(BadLocation):
        store.get(location)
    assert len(script.requests) == 1
