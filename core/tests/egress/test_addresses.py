"""Addresses: which ones are allowed, as literals and behind names."""

import ipaddress
import socket

import pytest

from calotype.egress import Egress, EgressError, EgressPolicy, Forbidden, Unreachable, is_own, is_public
from calotype.egress.targets import unmapped
from core.tests.egress.sources import FILTER, PUBLIC, Names, issue, policy, read
from tests.support.web import Web, redirect, verbatim

BAD_ADDRESSES = [
    "127.0.0.1",
    "127.0.0.2",
    "0.0.0.0",
    "0.1.2.3",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:0.0.0.0",
    "::ffff:169.254.169.254",
    "::ffff:0:7f00:1",
    "169.254.169.254",
    "fe80::1%eth0",
    "fd00:ec2::254",
    "100.100.100.200",
    "192.0.0.192",
    "168.63.129.16",
    "10.1.2.3",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "198.18.0.1",
    "fc00::1",
    "fec0::1",
    "224.0.0.1",
    "ff02::1",
    "240.0.0.1",
    "255.255.255.255",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "2002:7f00:1::",
    "2001:0:1::1",
    "192.88.99.1",
    "3fff::1",
    "5f00::1",
    "2001:20::1",
    "100::1",
    "2001:db8::1",
    "203.0.113.1",
    "192.0.2.9",
    "198.51.100.1",
    "192.31.196.1",
    "192.52.193.1",
    "192.175.48.1",
    "2620:4f:8000::1",
]


GOOD_ADDRESSES = [
    "8.8.8.8",
    "1.1.1.1",
    "93.184.216.34",
    "2606:4700:4700::1111",
    "2a00:1450:4001:81b::200e",
    "172.32.0.1",
    "100.128.0.1",
    "169.253.255.255",
    "11.0.0.1",
    "::ffff:8.8.8.8",
]


@pytest.mark.parametrize("address", BAD_ADDRESSES)
def test_a_private_address_is_refused_as_a_literal_and_behind_a_name(address, source):
    assert not is_public(unmapped(address))  # by itself, because Linux binds sockets to multicast, too
    strict = EgressPolicy(ports=(source.port,))
    host = f"[{address}]" if ":" in address else address

    with pytest.raises(Forbidden):
        Egress(strict).open("GET", f"http://{host}:{source.port}/")
    with pytest.raises(Forbidden):
        Egress(strict, Names(a_example=[[address]])).open("GET", f"http://a.example:{source.port}/")
    assert source.connections == 0


@pytest.mark.parametrize("address", GOOD_ADDRESSES)
def test_a_public_address_passes_the_check(address):
    host = f"[{address}]" if ":" in address else address

    Egress(EgressPolicy()).check(f"http://{host}/")
    Egress(EgressPolicy(), Names(a_example=[[address]])).check("https://a.example/")


def test_each_cause_of_an_unreachable_source_has_its_own_message(source, certificates):
    """r1-E11: an unknown host, a closed port and a broken connection have different messages."""
    source.pages |= {
        "/loop": redirect("/loop"),
        "/down": redirect(f"http://gone.example:{source.port}/"),
        "/file": redirect("file:///etc/passwd"),
        "/cut": verbatim(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort"),
        "/chat": verbatim(b"220 mail.example ESMTP\r\n"),
        "/silent": verbatim(),
    }
    names = Names(mirror_example=[["127.0.0.1"]])
    with socket.socket() as closed, Web({}, issue(certificates, "reasons", days=-1)) as secure:
        closed.bind(("127.0.0.1", 0))  # and does not listen
        port = closed.getsockname()[1]
        ports = (source.port, secure.port, port)
        egress = Egress(policy(ports=ports, ca_bundle=str(certificates / "ca.pem")), names)

        def reason(url):
            with pytest.raises(EgressError) as failure:
                read(egress.open("GET", url))
            return str(failure.value)

        at = "the source at 127.0.0.1 "
        assert reason(f"http://127.0.0.1:{port}/") == at + "refuses the connection"
        assert reason(source.url("/loop")) == at + "redirects more than 3 times"
        assert reason(source.url("/cut")) == at + "closes the connection before the end"
        assert reason(source.url("/silent")) == at + "closes the connection before the end"
        assert reason(source.url("/chat")) == at + "does not answer in HTTP"
        assert reason(source.url("/file")).startswith("the source " + FILTER)
        unknown = "the source at gone.example is unknown: there is no address for its name"
        assert reason(source.url("/down")) == reason(source.url(host="gone.example")) == unknown
        assert reason(f"https://127.0.0.1:{source.port}/").startswith(at + "has a TLS error (")
        assert reason(secure.url(host="mirror.example")) == (
            "the source at mirror.example has a certificate that is not accepted (certificate has expired)"
        )
        slow = Egress(policy(ports=ports, read_timeout=0.2), names)
        closed.listen()
        with pytest.raises(Unreachable) as failure:
            slow.open("GET", f"http://127.0.0.1:{port}/")
        assert str(failure.value) == at + "does not answer within 0.2 seconds"


def test_an_unavailable_resolver_differs_from_an_unknown_name():
    def away(host, port):
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    with pytest.raises(Unreachable, match=r"a\.example cannot be looked up now"):
        Egress(EgressPolicy(), away).check("http://a.example/")


@pytest.mark.parametrize("name", ["localhost", "LOCALHOST"])
def test_names_of_this_machine_are_refused_by_default(name, source):
    with pytest.raises(Forbidden):
        Egress(EgressPolicy(ports=(source.port,))).open("GET", f"http://{name}:{source.port}/")
    assert source.connections == 0


def test_an_address_of_this_machine_is_recognized():
    assert is_own(ipaddress.ip_address("127.0.0.1"))
    assert not is_own(ipaddress.ip_address(PUBLIC))
    assert not is_own(ipaddress.ip_address("2606:4700:4700::1111"))


def test_this_machines_own_address_is_refused_even_if_it_is_public(monkeypatch, source):
    monkeypatch.setattr("calotype.egress.targets.PRIVATE", ())
    egress = Egress(EgressPolicy(ports=(source.port,)))

    egress.check(f"http://10.255.255.254:{source.port}/")
    with pytest.raises(Forbidden):
        egress.open("GET", source.url())
    assert source.connections == 0


def test_a_name_with_one_forbidden_address_is_refused():
    for addresses in ([PUBLIC, "10.0.0.1"], ["10.0.0.1", PUBLIC], [PUBLIC, "fd00::1"]):
        with pytest.raises(Forbidden):
            Egress(EgressPolicy(), Names(a_example=[addresses])).check("http://a.example/")


def test_a_network_that_is_both_denied_and_allowed_is_refused():
    network = (ipaddress.ip_network("93.184.216.0/24"),)

    with pytest.raises(Forbidden, match="its address is in the option denied_networks"):
        Egress(EgressPolicy(denied_networks=network)).check(f"http://{PUBLIC}/")
    with pytest.raises(Forbidden):
        Egress(EgressPolicy(denied_networks=network, allowed_networks=network)).check(f"http://{PUBLIC}/")


def test_an_allowed_host_may_have_a_private_address():
    names = Names(mirror_example=[["10.0.0.1"]], other_example=[["10.0.0.1"]])
    egress = Egress(EgressPolicy(allowed_hosts=("mirror.example",)), names)

    egress.check("http://Mirror.example/")
    with pytest.raises(Forbidden):
        egress.check("http://other.example/")
    with pytest.raises(Forbidden):
        egress.check("http://10.0.0.1/")


def test_a_mapped_address_is_checked_and_used_as_the_address_that_it_contains(source):
    names = Names(a_example=[["::ffff:127.0.0.1"]])

    assert read(Egress(policy(source), names).open("GET", source.url(host="a.example"))) == b"hello"


@pytest.mark.parametrize("answers", [[], ["not an address"]])
def test_a_name_without_addresses_is_unreachable(answers):
    with pytest.raises(Unreachable):
        Egress(EgressPolicy(), Names(a_example=[answers])).open("GET", "http://a.example/")


def test_an_unknown_name_is_unreachable():
    with pytest.raises(Unreachable):
        Egress(EgressPolicy(), Names()).open("GET", "http://a.example/")


def test_public_means_neither_private_nor_special():
    assert is_public(ipaddress.ip_address(PUBLIC))
    assert not is_public(ipaddress.ip_address("::1"))


@pytest.mark.parametrize(
    "address",
    ["192.0.0.192", "168.63.129.16", "192.88.99.1", "224.0.0.1", "2002:7f00:1::", "64:ff9b::a9fe:a9fe"],
)
def test_an_address_that_some_pythons_call_global_is_not_public(address):
    assert not is_public(ipaddress.ip_address(address))
