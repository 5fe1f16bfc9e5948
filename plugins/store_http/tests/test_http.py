"""What the kit does not ask: which sources are taken, what they may do, and what clients are told."""

from __future__ import annotations

import contextlib
import gzip
import itertools
import json
import re
import socket
from urllib.parse import urlsplit

import pytest

from calotype.stores import (
    BadLocation,
    BlobChanged,
    BlobNotFound,
    Capability,
    ConfigurationError,
    StoreError,
    Unavailable,
)
from calotype.stores.checked import CheckedStore
from calotype.stores.options import read_options
from calotype.testing import Fault, FaultProxy, pattern, read_all
from calotype_store_http import HttpOptions, HttpStore
from plugins.store_http.tests.sources import in_turn, raw, reply

DATA = pattern(300_000)
DATE = "Tue, 01 Sep 2026 10:00:00 GMT"


def serve(data: bytes = DATA, etag: str | None = '"v1"', modified: str | None = None, ranges: bool = True):
    """A page like a good server's: ranges, and a strong ETag that it only tells and does not enforce."""

    def page(handler):
        headers = {"ETag": etag, "Last-Modified": modified}
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", handler.headers.get("Range", "")) if ranges else None
        if wanted is None:
            return reply(200, data, **headers)(handler)
        first, last = int(wanted[1]), min(int(wanted[2] or len(data)), len(data) - 1)
        if first >= len(data):
            return reply(416, Content_Range=f"bytes */{len(data)}")(handler)
        shown = f"bytes {first}-{last}/{len(data)}"
        return reply(206, data[first : last + 1], Content_Range=shown, **headers)(handler)

    return page


def cut(page, after: int):
    """That page, whose connection ends after so many bytes of the body."""

    class Short:
        def __init__(self, file):
            self.file, self.left = file, after

        def write(self, data):
            if not data.startswith(b"HTTP/"):
                data, self.left = data[: self.left], self.left - len(data)
            self.file.write(data)

    def short(handler):
        file, handler.close_connection = handler.wfile, True
        handler.wfile = Short(file)
        try:
            page(handler)
        finally:
            handler.wfile = file

    return short


@pytest.fixture
def store(script, make_store):
    return make_store(script.port)


@pytest.fixture
def uri(script):
    script.page = serve()
    return script.url("/a.img")


# Registering


def test_registering_notes_size_and_validators_and_reads_one_byte(store, script, uri):
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


@pytest.mark.parametrize("etag", ['W/"v1"', "v1", '"', '""', '"a\x01b"', '"' + "a" * 300 + '"', ""])
def test_an_etag_that_promises_nothing_is_not_noted(etag, store, script, uri):
    script.page = serve(etag=etag)

    assert "etag" not in json.loads(store.register(uri).location)


def test_a_source_of_unknown_length_is_taken_without_a_size(store, script, uri):
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


def test_the_registered_url_is_the_given_one_not_where_it_redirects(store, script, uri):
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
def test_a_location_that_must_not_be_fetched_is_refused_by_the_filter(uri, make_store):
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
def test_a_source_whose_answer_cannot_be_used_is_refused(page, store, script, uri):
    script.page = page

    with pytest.raises(BadLocation, match=r"^store 'web': the source at 127\.0\.0\.1 "):
        store.register(uri)


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_source_that_does_not_give_it_to_us_is_not_found(status, store, script, uri):
    location = store.register(uri).location
    script.page = reply(status, b"a page with an internal secret")

    for verb in (store.register, store.get, store.size):
        with pytest.raises(BlobNotFound, match=f"answers {status} [A-Z]") as failure:
            verb(uri if verb == store.register else location)
        assert "secret" not in str(failure.value)
        assert ("127.0.0.1" in str(failure.value)) == (verb == store.register)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_a_source_that_cannot_answer_now_is_unavailable(status, store, script, uri):
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
def test_a_source_says_when_to_ask_again(header, seconds, store, script, uri):
    script.page = reply(503, Retry_After=header)

    with pytest.raises(Unavailable) as failure:
        store.register(uri)
    assert failure.value.retry_after == seconds


def test_a_source_that_is_down_is_unavailable_and_named_only_to_whoever_has_named_it(make_store):
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


def test_a_location_that_could_not_be_kept_is_refused(store, script, uri):
    """r1-B3: the sentence says how else the image can be had."""
    with pytest.raises(BadLocation, match=r"the URL has .* import the image, so that its bytes are copied"):
        store.register(script.url("/" + "a" * 1000))
    script.page = serve(etag='"' + "e" * 200 + '"')
    with pytest.raises(BadLocation, match="the database keeps 1024: import the image"):
        CheckedStore(store).register(script.url("/" + "a" * 900))


# Reading


def test_a_range_asks_for_no_more_than_the_range(store, script, uri):
    location = store.register(uri).location

    assert read_all(store.get(location, 1000, 500), limit=500) == DATA[1000:1500]
    assert script.requests[-1]["Range"] == "bytes=1000-1499"
    assert script.requests[-1]["If-Match"] == '"v1"'


def test_a_source_without_an_etag_is_held_to_its_date(store, script, uri):
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


def test_a_validator_that_was_added_is_no_change(store, script, uri):
    script.page = serve(etag=None, modified=DATE)
    location = store.register(uri).location
    script.page = serve(etag='"v1"', modified=DATE)

    assert read_all(store.get(location), limit=len(DATA)) == DATA


def test_a_source_that_goes_on_past_its_size_is_not_given_out_whole(store, script, uri):
    location = store.register(uri).location
    size = f"{len(DATA):x}\r\n".encode()
    chunked = 'HTTP/1.1 200 OK\nTransfer-Encoding: chunked\nETag: "v1"\n'
    script.page = raw(chunked, size + DATA + b"\r\n1\r\nx\r\n0\r\n\r\n")
    with pytest.raises(BlobChanged):
        read_all(store.get(location), limit=len(DATA) + 1)

    script.page = raw(chunked, size + DATA + b"\r\n0\r\n\r\n")
    assert read_all(store.get(location), limit=len(DATA)) == DATA


def test_a_range_that_is_not_the_one_asked_for_is_not_given_out(store, script, uri):
    location = store.register(uri).location
    script.page = reply(206, DATA[9:19], Content_Range=f"bytes 9-18/{len(DATA)}", ETag='"v1"')

    with pytest.raises(Unavailable):
        store.get(location, 5, 10)


def test_a_source_that_lost_its_ranges_is_read_up_to_the_offset(store, script, uri):
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


def test_a_name_that_now_leads_elsewhere_is_not_fetched(script, uri, make_store):
    answers = iter(["127.0.0.1", "169.254.169.254"])
    store = make_store(script.port, resolver=lambda host, port: [next(answers)])
    location = store.register(f"http://mirror.example:{script.port}/a.img").location

    with pytest.raises(BadLocation):
        store.get(location)
    assert len(script.requests) == 1


# Copying


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
    """r1-B2: what is looked at first and read afterwards may be two answers of two mirrors."""
    assert opened(store, uri) == (len(DATA), DATA)
    assert len(script.requests) == 1


def test_each_request_may_be_redirected_to_another_mirror(store, script, uri):
    """r1-B2: "the source holds other bytes than were registered"."""
    mirrors(script, serve(etag='"one"', modified=DATE), serve(etag='"two"'))
    for _ in range(2):
        assert opened(store, uri) == (len(DATA), DATA)


def test_a_copy_that_breaks_goes_on_at_the_mirror_that_answered(store, script, uri):
    """r1-B2"""
    mirrors(script, in_turn(cut(serve(etag='"one"'), 1000), serve(etag='"one"')), serve(etag='"two"'))

    assert opened(store, uri) == (len(DATA), DATA)
    assert script.requests[-1]["Range"] == f"bytes=1000-{len(DATA) - 1}"


def test_a_copy_goes_on_where_the_url_leads_now_if_the_mirror_is_gone(store, script, uri):
    """r1-B2: signed URLs, to which servers redirect, are good for minutes."""
    mirrors(script, in_turn(cut(serve(), 1000), reply(403)), serve())

    assert opened(store, uri) == (len(DATA), DATA)


def test_a_copy_never_goes_on_with_other_bytes(script, uri, make_store):
    """r1-B2: what goes on must match the first answer of the same reading."""
    store = make_store(script.port, retries=1)
    mirrors(script, in_turn(cut(serve(), 1000), serve(DATA[::-1], etag='"new"')), serve(etag='"two"'))

    with pytest.raises(
        Unavailable, match=r"at 127\.0\.0\.1 broke off, and does not go on with the same bytes"
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
        (reply(200, b"", Content_Length="ten"), "a Content-Length that is no number"),
        (reply(206, b"x", Content_Range="bytes 5-5/9"), "another range than was asked for"),
        (reply(204, Content_Length=None), "answers 204 No Content"),
        (reply(200, gzip.compress(DATA), Content_Encoding="gzip"), "sends its bytes encoded"),
    ],
)
def test_a_copy_is_not_taken_from_an_answer_that_cannot_be_used(page, why, store, script, uri):
    """r1-E11"""
    script.page = page
    with pytest.raises(BadLocation, match=rf"the source at 127\.0\.0\.1 .*{why}"):
        store.open_uri(uri)


@pytest.mark.parametrize("length", [1001, 2049, 8000])
def test_a_long_url_is_copied_from(length, store, script, uri):
    """r1-B3: 400 "the location is too long"."""
    url = uri + "?" + "a" * (length - len(uri) - 1)
    store.check_uri(url)

    assert opened(store, url) == (len(DATA), DATA)
    for verb in (store.check_uri, store.open_uri):
        with pytest.raises(BadLocation, match="has 8001 characters, and at most 8000"):
            verb(uri + "?" + "a" * (8000 - len(uri)))


# Broken connections


@pytest.mark.parametrize("ranges", [True, False])
def test_a_broken_download_goes_on_where_it_broke(ranges, store, script, uri):
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


def test_nginx_behind_a_connection_that_breaks_is_read_whole(web_uri, make_store):
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


def test_what_changed_meanwhile_is_not_gone_on_with(store, script, uri):
    location = store.register(uri).location
    script.page = in_turn(cut(serve(), 1000), serve(DATA[::-1], etag='"v2"'))
    reader = store.get(location)

    with pytest.raises(BlobChanged):
        read_all(reader, limit=len(DATA))


def test_a_source_without_a_validator_is_not_gone_on_with(store, script, uri):
    script.page = serve(etag=None)
    location = store.register(uri).location
    script.page = in_turn(cut(serve(etag=None), 1000), serve(etag=None))

    with pytest.raises(Unavailable):
        read_all(store.get(location), limit=len(DATA))


def test_a_short_body_is_never_taken_for_the_whole(script, uri, make_store):
    store = make_store(script.port, retries=0)
    location = store.register(uri).location
    script.page = raw('HTTP/1.1 200 OK\nTransfer-Encoding: chunked\nETag: "v1"\n', b"3\r\nabc\r\n0\r\n\r\n")

    with pytest.raises(Unavailable):
        read_all(store.get(location), limit=len(DATA))


def test_a_source_that_is_too_slow_is_given_up(script, uri, make_store):
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


# Around it


def test_environment_proxies_and_netrc_are_not_heard(store, script, uri, monkeypatch, tmp_path):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login canary password canary\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    location = store.register(uri).location

    assert read_all(store.get(location), limit=len(DATA)) == DATA
    assert {"Authorization", "Cookie"}.isdisjoint({name for r in script.requests for name in r})


def test_clients_are_sent_to_public_sources_only(script, uri, make_store):
    """Whether they are sent anywhere is the core's option `redirect`."""

    def names(host, port):
        return ["93.184.216.34"] if host == "mirror.example" else ["127.0.0.1"]

    store = CheckedStore(make_store(80, resolver=names))
    public = '{"url":"http://mirror.example/a.img","size":5}'
    private = '{"url":"http://intern.example/a.img","size":5}'

    assert store.direct_url(public, 60) == "http://mirror.example/a.img"
    assert store.direct_url(private, 60) is None
    assert store.redirect is False


def test_a_ca_bundle_that_cannot_be_read_shows_in_the_check(make_store, tmp_path):
    with pytest.raises(Unavailable, match="ca_bundle"):
        make_store(443, ca_bundle=str(tmp_path / "none.pem")).check()


def test_unverified_tls_is_said_aloud(make_store, caplog):
    make_store(443, verify=False)

    assert "not checked" in caplog.text


def test_options_are_read_from_text():
    options = read_options(
        "web",
        HttpOptions,
        {
            "schemes": "https",
            "ports": "443, 8443",
            "allowed_networks": "10.1.0.0/16 fd00::/8",
            "allowed_hosts": "Mirror.Example",
            "verify": "true",
        },
    )

    assert options.ports == (443, 8443)
    assert [str(network) for network in options.allowed_networks] == ["10.1.0.0/16", "fd00::/8"]
    assert options.allowed_hosts == ("mirror.example",)
    assert options.policy().schemes == ("https",)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("schemes", "ftp"),
        ("schemes", ""),
        ("ports", "0"),
        ("ports", "http"),
        ("allowed_networks", "everywhere"),
        ("allowed_networks", "10.1.0.1/16"),
        ("allowed_hosts", "a b/c"),
        ("read_timeout", "0"),
        ("max_redirects", "99"),
        ("verify", "perhaps"),
    ],
)
def test_an_option_that_makes_no_sense_is_named(name, value):
    with pytest.raises(ConfigurationError, match=name):
        read_options("web", HttpOptions, {name: value})


def test_nothing_is_written_or_deleted():
    store = HttpStore("web", HttpOptions())

    assert not store.capabilities & (Capability.WRITE | Capability.DELETE)
    with pytest.raises(StoreError):
        CheckedStore(store).delete('{"url":"http://mirror.example/a.img"}')
