"""Redirects, each of which is checked like the first URL."""

import pytest

from calotype.egress import BadAnswer, Egress, Forbidden
from core.tests.egress.sources import policy, read
from tests.support.web import Web, redirect, reply


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_followed(status, source):
    source.pages["/a"] = redirect("/", status)

    got = Egress(policy(source)).open("GET", source.url("/a"))

    assert got.url == source.url("/")
    assert read(got) == b"hello"


def test_statuses_that_do_not_redirect_are_returned_to_the_caller(source):
    source.pages["/300"] = redirect("/", 300)
    source.pages["/500"] = reply(500, Refresh="0; url=/")
    source.pages["/302"] = reply(302)
    egress = Egress(policy(source))

    for status in (300, 500, 302, 404):
        got = egress.open("GET", source.url(f"/{status}"))
        got.close()
        assert got.status == status


@pytest.mark.parametrize(
    "location",
    [
        "http://127.1:{port}/",
        "//10.0.0.1:{port}/",
        "http://10.0.0.1:{port}/",
        "http://[::1]:{port}/",
        "http://169.254.169.254/latest/meta-data/",
        "http://127.0.0.1:22/",
        "http://user:secret@127.0.0.1:{port}/",
        "http://127.0.0.1:{port}/\\x",
        "http://127.0.0.1:{port}/a b",
        "file:///etc/passwd",
        "gopher://127.0.0.1:{port}/",
        "//[",
        "/%0d%0aX:y",
        "",
    ],
)
def test_a_redirect_passes_the_whole_check(location, source):
    source.pages["/a"] = redirect(location.format(port=source.port))

    with pytest.raises(Forbidden):
        Egress(policy(source)).open("GET", source.url("/a"))
    assert source.connections == 1


def test_a_source_and_its_redirect_get_a_fixed_list_of_headers(source, monkeypatch, tmp_path):
    """No credentials, no cookie of the first server, and not its URL, which may be signed."""
    (tmp_path / ".netrc").write_text("default login canary password canary\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    with Web({"/": reply(body=b"moved")}) as other:
        source.pages["/a"] = reply(302, Location=other.url(), Set_Cookie="session=canary")
        egress = Egress(policy(source, other))

        assert read(egress.open("GET", source.url("/a?signature=canary"), {"Range": "bytes=0-"})) == b"moved"
        own = {"Accept-Encoding": "identity", "Connection": "close", "User-Agent": "calotype"}
        for web in (source, other):
            host = f"127.0.0.1:{web.port}"
            assert web.requests == [{**own, "Host": host, "Range": "bytes=0-"}]


def test_redirects_end_after_the_allowed_number(source):
    source.pages |= {f"/{n}": redirect(f"/{n - 1}") for n in range(1, 7)} | {"/0": reply(body=b"there")}
    egress = Egress(policy(source, max_redirects=3))

    assert read(egress.open("GET", source.url("/3"))) == b"there"
    with pytest.raises(BadAnswer):
        egress.open("GET", source.url("/4"))
    assert source.connections == 8


def test_a_loop_of_redirects_ends(source):
    source.pages["/a"] = redirect("/a")

    with pytest.raises(BadAnswer):
        Egress(policy(source)).open("GET", source.url("/a"))


def test_redirects_can_be_forbidden(source):
    source.pages["/a"] = redirect("/")

    with pytest.raises(BadAnswer):
        Egress(policy(source, max_redirects=0)).open("GET", source.url("/a"))
    assert source.connections == 1
