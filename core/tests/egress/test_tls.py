"""TLS: accepted certificates and versions."""

import ssl
import subprocess
from dataclasses import replace

import pytest

from calotype.egress import Egress, Forbidden, Unreachable
from core.tests.egress.sources import MIRROR, Names, issue, policy, read
from tests.support.web import Web, redirect, reply


def test_the_tests_own_certificates_pass_the_strict_verification_of_newer_pythons(certificates):
    """r1-E24: Python 3.13 sets VERIFY_X509_STRICT by default. This test sets it in older versions."""
    issue(certificates, "strict")
    verify = ("openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", "ca.pem", "strict.pem")
    done = subprocess.run(verify, cwd=certificates, capture_output=True, text=True)

    assert (done.stdout, done.stderr) == ("strict.pem: OK\n", "")


@pytest.mark.parametrize("host", ["mirror.example", "127.0.0.1"])
def test_certificates_are_verified_with_the_given_authorities(host, certificates):
    san = f"DNS:{host}" if host.endswith("e") else f"IP:{host}"
    with Web({"/": reply(body=b"hello")}, issue(certificates, "good", san=san)) as source:
        egress = Egress(policy(source, ca_bundle=str(certificates / "ca.pem")), Names(**MIRROR))

        assert read(egress.open("GET", source.url(host=host))) == b"hello"
        with pytest.raises(Unreachable):  # the system does not trust this authority
            Egress(policy(source), Names(**MIRROR)).open("GET", source.url(host=host))


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("othername", {"san": "DNS:other.example"}),
        ("onlycn", {"san": ""}),
        ("expired", {"days": -1}),
        ("stranger", {"ca": "otherca"}),
    ],
)
def test_a_bad_certificate_ends_the_connection_before_the_request(name, given, certificates):
    with Web({"/": reply(body=b"hello")}, issue(certificates, name, **given)) as source:
        issue(certificates, "any")
        careful = policy(source, ca_bundle=str(certificates / "ca.pem"))

        with pytest.raises(Unreachable):
            Egress(careful, Names(**MIRROR)).open("GET", source.url(host="mirror.example"))
        assert source.requests == []

        careless = replace(careful, verify=False)
        assert (
            read(Egress(careless, Names(**MIRROR)).open("GET", source.url(host="mirror.example"))) == b"hello"
        )


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_old_tls_is_refused(certificates):
    old = issue(certificates, "old")
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version = ssl.TLSVersion.TLSv1
    old.maximum_version = ssl.TLSVersion.TLSv1_1
    with Web({"/": reply(body=b"hello")}, old) as source:
        with pytest.raises(Unreachable):
            Egress(policy(source, verify=False)).open("GET", source.url())
        assert source.requests == []


def test_https_never_redirects_to_http(certificates, source):
    with Web({"/": redirect(source.url())}, issue(certificates, "down")) as secure:
        source.pages["/up"] = redirect(secure.url("/end"))
        secure.pages["/end"] = reply(body=b"end")
        egress = Egress(policy(source, secure, ca_bundle=str(certificates / "ca.pem")))

        with pytest.raises(Forbidden):
            egress.open("GET", secure.url())
        assert source.connections == 0
        assert read(egress.open("GET", source.url("/up"))) == b"end"


def test_a_ca_bundle_that_is_missing_makes_https_unreachable(tmp_path):
    with pytest.raises(Unreachable, match="ca_bundle cannot be read"):
        Egress(policy(ports=(443,), ca_bundle=str(tmp_path / "none"))).open("GET", "https://127.0.0.1/")
