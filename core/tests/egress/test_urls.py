"""URLs: which ones are allowed, and the messages of refusals."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calotype.egress import Egress, EgressPolicy, Forbidden, parse
from core.tests.egress.sources import FILTER, Names, policy

#: URLs whose form is refused. {port} is an allowed port with a listening server.
BAD_FORMS = [
    "http://127.1:{port}/",
    "http://2130706433:{port}/",
    "http://0x7f000001:{port}/",
    "http://017700000001:{port}/",
    "http://0x7f.1:{port}/",
    "http://0177.0.0.1:{port}/",
    "http://127.0.0.01:{port}/",
    "http://127.0.0.256:{port}/",
    "http://0:{port}/",
    "http://①②⑦.⓪.⓪.①:{port}/",
    "http://[fe80::1%25lo]:{port}/",
    "http://[fe80::1%lo]:{port}/",
    "http://[::1:{port}/",
    "http://[::g]:{port}/",
    "http://[127.0.0.1]:{port}/",
    "http://::1:{port}/",
    "http://good@127.0.0.1:{port}/",
    "http://user:secret@127.0.0.1:{port}/",
    "http://@127.0.0.1:{port}/",
    "http://127.0.0.1:{port}\\@good/",
    "http://127.0.0.1:{port}/\\good",
    "http://good#@127.0.0.1:{port}/",
    "http://127.0.0.1:{port}/a#b",
    "http://a@b@127.0.0.1:{port}/",
    "http://good%00.127.0.0.1:{port}/",
    "http://127.0.0.1\x00.example.com:{port}/",
    "http://127%2e0.0.1:{port}/",
    "http:127.0.0.1:{port}/x",
    "http:/127.0.0.1:{port}/x",
    "http:///x",
    "http://:{port}/",
    "//127.0.0.1:{port}/",
    "127.0.0.1:{port}/",
    " http://127.0.0.1:{port}/",
    "\thttp://127.0.0.1:{port}/",
    "http://127.0.0.1:{port}/ ",
    "http://127.0.0.1:{port}/\n",
    "ht\ntp://127.0.0.1:{port}/",
    "http://127.0.0.1:{port}\t/",
    "http://127.0.0.1:٨٠/",
    "http://127.0.0.1:0/",
    "http://127.0.0.1:99999/",
    "http://127.0.0.1:-1/",
    "http://127.0.0.1:+{port}/",
    "http://127.0.0.1:/",
    "http://127.0.0.1:{port}:80/",
    "http://\uff4c\uff4f\uff43\uff41\uff4c\uff48\uff4f\uff53\uff54:{port}/",
    "http://127。0。0。1:{port}/",
    "http://-a.example:{port}/",
    "http://a..example:{port}/",
    "http://.example:{port}/",
    "http://localhost.:{port}/",
    f"http://{'a' * 64}.example:{{port}}/",
    f"http://{'a.' * 127}example:{{port}}/",
    f"http://127.0.0.1:{{port}}/{'a' * 8000}",
    "http://127.0.0.1:{port}/a%0d%0aX:%20y",
    "http://127.0.0.1:{port}/a\r\nX: y",
    "http://127.0.0.1:{port}/%00",
    "http://127.0.0.1:{port}/%7f",
    "http://127.0.0.1:{port}/%zz",
    "http://127.0.0.1:{port}/é",
    "gopher://127.0.0.1:{port}/",
    "dict://127.0.0.1:{port}/",
    "ftp://127.0.0.1:{port}/",
    "file:///etc/passwd",
    "FILE:///etc/passwd",
    "file:/etc/passwd",
    "file://localhost/etc/passwd",
    "filesystem:///etc/passwd",
    "fi%6ce:///etc/passwd",
    "url:file:///etc/passwd",
    "url:http://127.0.0.1:{port}/",
    "jar:file:///etc/passwd",
    "netdoc:///etc/passwd",
    "data:text/plain,x",
    "http+unix://%2fvar%2frun%2fdocker.sock/",
    "",
    "http",
    "http://",
]


@pytest.mark.parametrize("url", BAD_FORMS)
def test_a_malformed_url_is_refused_before_anything_is_sent(url, source):
    resolver = Names()

    with pytest.raises(Forbidden):
        Egress(policy(source, ports=(80, 443, source.port)), resolver).open(
            "GET", url.format(port=source.port)
        )
    assert resolver.asked == []
    assert source.connections == 0


@given(st.text(max_size=60))
def test_for_any_text_the_parser_raises_only_forbidden(text):
    for url in (text, f"http://{text}", f"http://a.example/{text}", f"http://a.example:{text}"):
        with contextlib.suppress(Forbidden):
            target = parse(url)
            assert target.url.isascii()
            assert parse(target.url) == target


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        ("HTTP://Images.EXAMPLE.org", "http://images.example.org/"),
        ("https://images.example.org:443/a.img", "https://images.example.org/a.img"),
        (
            "https://images.example.org:8443/a%20b?x=1&y=%2F?",
            "https://images.example.org:8443/a%20b?x=1&y=%2F?",
        ),
        ("http://a.example?x=1", "http://a.example/?x=1"),
        ("http://[2606:4700:0:0::1]:80/", "http://[2606:4700::1]/"),
        ("https://xn--bcher-kva.example/", "https://xn--bcher-kva.example/"),
    ],
)
def test_a_valid_url_is_parsed(url, normal):
    assert parse(url).url == normal


REFUSALS = {
    "file:///etc/passwd": "its URL must be http or https with a plain host name",
    "http://a@b.example/": "its URL must be http or https with a plain host name",
    "http://a.example/" + "a" * 8000: "its URL has 8017 characters, and at most 8000 are allowed",
    "ftp://a.example/": "its URL must be http or https with a plain host name",
    "http://8.8.8.8:22/": "port 22 is not in the option ports (80, 443)",
    "http://10.0.0.1/": "its address is not public, and neither allowed_networks",
    "http://inside.example/": "its address is not public, and neither allowed_networks",
    "http://localhost/": "its address is not public, and neither allowed_networks",
}


@pytest.mark.parametrize(("url", "why"), REFUSALS.items())
def test_a_refusal_names_the_host_and_the_reason(url, why):
    """r1-E11, r1-G9: for example, a forbidden port must not read "External sources are not supported"."""
    egress = Egress(EgressPolicy(), Names(inside_example=[["10.1.2.3"]], localhost=[["127.0.0.1"]]))
    with pytest.raises(Forbidden) as refusal:
        egress.open("GET", url)

    assert FILTER + why in str(refusal.value)
    host = url.split("/")[2].partition(":")[0]
    assert (f"the source at {host} " in str(refusal.value)) == ("address" in why or "port" in why)
    assert refusal.value.anonymous.startswith("the source " + FILTER)
    assert "10.1.2.3" not in str(refusal.value)


@pytest.mark.parametrize("port", [1, 22, 25, 2375, 6379, 8080, 11211])
def test_a_port_that_is_not_listed_is_refused(port):
    with pytest.raises(Forbidden):
        Egress(EgressPolicy()).check(f"http://8.8.8.8:{port}/")


def test_a_scheme_that_is_not_listed_is_refused():
    with pytest.raises(Forbidden):
        Egress(EgressPolicy(schemes=("https",))).check("http://8.8.8.8/")
