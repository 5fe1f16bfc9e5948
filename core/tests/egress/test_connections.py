"""Connections: their address, and the names that the source sees."""

import ipaddress
import os
import socket
import subprocess
import sys
import threading

import pytest

from calotype.egress import Egress, EgressPolicy, Forbidden, Unreachable
from core.tests.egress.sources import LOOPBACK, Names, policy, read
from tests.support.web import Web, reply


def test_the_connection_goes_to_the_checked_address_with_the_urls_name(source):
    names = Names(mirror_example=[["127.0.0.1"]])

    got = read(
        Egress(policy(source), names).open("GET", source.url("/", "mirror.example"), {"Range": "bytes=0-"})
    )

    assert got == b"hello"
    path, headers = source.paths[0], source.requests[0]
    assert path == "/"
    assert headers["Host"] == f"mirror.example:{source.port}"
    assert headers["Accept-Encoding"] == "identity"
    assert headers["Range"] == "bytes=0-"
    assert headers.keys() <= {"Host", "User-Agent", "Accept-Encoding", "Connection", "Range"}


def test_a_name_is_resolved_once_for_each_connection(source):
    names = Names(mirror_example=[["127.0.0.1"], ["10.0.0.1"]])
    egress = Egress(policy(source), names)

    assert read(egress.open("GET", source.url(host="mirror.example"))) == b"hello"
    assert names.asked == ["mirror.example"]


def test_a_name_that_changes_after_the_check_leads_to_the_checked_address(source):
    """The first address is allowed, but nothing listens there. At the second, an internal server does."""
    names = Names(mirror_example=[["127.0.0.2"], ["127.0.0.1"]])
    egress = Egress(policy(source, allowed_networks=(ipaddress.ip_network("127.0.0.2/32"),)), names)

    with pytest.raises(Unreachable):
        egress.open("GET", source.url(host="mirror.example"))
    assert source.connections == 0
    with pytest.raises(Forbidden):
        egress.open("GET", source.url(host="mirror.example"))


def test_a_name_that_later_resolves_to_a_forbidden_address_is_refused(source):
    egress = Egress(policy(source), Names(mirror_example=[["127.0.0.1"], ["169.254.169.254"]]))
    read(egress.open("GET", source.url(host="mirror.example")))

    with pytest.raises(Forbidden):
        egress.open("GET", source.url(host="mirror.example"))
    assert source.connections == 1


def test_if_an_address_does_not_answer_the_next_one_is_tried(source):
    egress = Egress(policy(source), Names(mirror_example=[["127.0.0.2", "127.0.0.1"]]))

    assert read(egress.open("GET", source.url(host="mirror.example"))) == b"hello"


def test_environment_proxies_and_netrc_are_ignored(source, monkeypatch, tmp_path):
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login canary password canary\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    with Web() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url())

        assert read(Egress(policy(source)).open("GET", source.url())) == b"hello"
        assert proxy.connections == 0
    assert "Authorization" not in source.requests[0]


def test_a_closed_port_is_unreachable():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    with pytest.raises(Unreachable) as failure:
        Egress(EgressPolicy(ports=(port,), allowed_networks=LOOPBACK)).open(
            "GET", f"http://127.0.0.1:{port}/"
        )
    assert "127.0.0.1" not in failure.value.anonymous


def test_many_threads_may_share_one_egress(source):
    source.pages["/"] = reply(body=os.urandom(300_000))
    egress = Egress(policy(source))
    got = []
    threads = [
        threading.Thread(target=lambda: got.append(read(egress.open("GET", source.url())))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(got) == 8
    assert len(set(got)) == 1


def test_egress_imports_neither_pyramid_nor_the_stores():
    code = "import sys, calotype.egress; sys.exit(bool({'pyramid', 'calotype.stores'} & set(sys.modules)))"

    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
