"""Copying a source once."""

from __future__ import annotations

import contextlib
import gzip
import itertools

import pytest

from calotype.stores import BadLocation, Unavailable
from calotype.stores.checked import CheckedStore
from calotype.testing import read_all
from plugins.store_http.tests.sources import DATA, DATE, cut, serve
from tests.support.web import in_turn, raw, reply


def opened(store, uri):
    found = CheckedStore(store).open_uri(uri)
    with contextlib.closing(found.reader):
        return found.size, read_all(found.reader, limit=len(DATA))


def mirrors(script, *pages):
    """Redirect each request for /a.img to the next mirror; `/mirror0` answers with the first page."""
    turns = itertools.count()

    def page(handler):
        if handler.path == "/a.img":
            reply(302, Location=f"/mirror{next(turns) % len(pages)}")(handler)
        else:
            pages[int(handler.path.removeprefix("/mirror"))](handler)

    script.page = page


def test_a_copy_asks_its_source_once(store, script, uri):
    """r1-B2: two mirrors could answer a check of the source and the read that follows."""
    assert opened(store, uri) == (len(DATA), DATA)
    assert len(script.requests) == 1


def test_each_request_may_be_redirected_to_another_mirror(store, script, uri):
    """r1-B2: the copy used to fail with "the source holds other bytes than were registered"."""
    mirrors(script, serve(etag='"one"', modified=DATE), serve(etag='"two"'))
    for _ in range(2):
        assert opened(store, uri) == (len(DATA), DATA)


def test_an_interrupted_copy_resumes_at_the_mirror_that_answered(store, script, uri):
    """r1-B2"""
    mirrors(script, in_turn(cut(serve(etag='"one"'), 1000), serve(etag='"one"')), serve(etag='"two"'))

    assert opened(store, uri) == (len(DATA), DATA)
    assert script.requests[-1]["Range"] == f"bytes=1000-{len(DATA) - 1}"


def test_an_interrupted_copy_follows_the_url_again_if_the_mirror_is_gone(store, script, uri):
    """r1-B2: servers redirect to signed URLs, which are valid for minutes."""
    mirrors(script, in_turn(cut(serve(), 1000), reply(403)), serve())

    assert opened(store, uri) == (len(DATA), DATA)


def test_an_interrupted_copy_never_resumes_with_different_bytes(script, uri, make_store):
    """r1-B2: the continuation must match the first response of the same read."""
    store = make_store(script.port, retries=1)
    mirrors(script, in_turn(cut(serve(), 1000), serve(DATA[::-1], etag='"new"')), serve(etag='"two"'))

    with pytest.raises(
        Unavailable, match=r"at 127\.0\.0\.1 broke off, and could not be continued with the same bytes"
    ):
        opened(store, uri)


@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/1.1"])
def test_a_source_without_a_length_is_copied(version, store, script, uri):
    """r1-B2"""
    script.page = raw(f"{version} 200 OK\n", DATA)
    assert opened(store, uri) == (None, DATA)
    script.page = raw(f"{version} 200 OK\nContent-Encoding:\nContent-Length: 5\n", DATA[:5])
    assert opened(store, uri) == (5, DATA[:5])


@pytest.mark.parametrize(
    ("page", "why"),
    [
        (reply(200, b"", Content_Length="ten"), "a missing or malformed Content-Length"),
        (reply(206, b"x", Content_Range="bytes 5-5/9"), "a range that begins after the requested byte"),
        (reply(204, Content_Length=None), "answers 204 No Content"),
        (reply(200, gzip.compress(DATA), Content_Encoding="gzip"), "sends its bytes encoded"),
    ],
)
def test_a_copy_is_refused_if_the_response_of_its_source_cannot_be_used(page, why, store, script, uri):
    """r1-E11"""
    script.page = page
    with pytest.raises(BadLocation, match=rf"the source at 127\.0\.0\.1 .*{why}"):
        store.open_uri(uri)


@pytest.mark.parametrize("length", [1001, 2049, 8000])
def test_an_image_can_be_copied_from_a_long_url(length, store, script, uri):
    """r1-B3: the response used to be 400 "the location is too long"."""
    url = uri + "?" + "a" * (length - len(uri) - 1)
    store.check_uri(url)

    assert opened(store, url) == (len(DATA), DATA)
    for verb in (store.check_uri, store.open_uri):
        with pytest.raises(BadLocation, match="has 8001 characters, and at most 8000"):
            verb(uri + "?" + "a" * (8000 - len(uri)))
