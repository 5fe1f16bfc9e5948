"""The driver's options, and their independence from the environment."""

from __future__ import annotations

import pytest

from calotype.stores import ConfigurationError, StoreError, Unavailable, WritableStore
from calotype.stores.checked import CheckedStore
from calotype.stores.options import read_options
from calotype.testing import read_all
from calotype_store_http import HttpOptions, HttpStore
from plugins.store_http.tests.sources import DATA

# Around it


def test_environment_proxies_and_netrc_are_ignored(store, script, uri, monkeypatch, tmp_path):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login canary password canary\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    location = store.register(uri).location

    assert read_all(store.get(location), limit=len(DATA)) == DATA
    assert {"Authorization", "Cookie"}.isdisjoint({name for r in script.requests for name in r})


def test_unverified_tls_is_logged_as_a_warning(make_store, caplog):
    make_store(443, verify=False)

    assert "not checked" in caplog.text


def test_the_check_reports_an_unreadable_ca_bundle(make_store, tmp_path):
    with pytest.raises(Unavailable, match="ca_bundle"):
        make_store(443, ca_bundle=str(tmp_path / "none.pem")).check()


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
def test_the_error_for_an_invalid_option_names_the_option(name, value):
    with pytest.raises(ConfigurationError, match=name):
        read_options("web", HttpOptions, {name: value})


def test_the_store_refuses_writes_and_deletes():
    store = HttpStore("web", HttpOptions())

    assert not isinstance(store, WritableStore)
    with pytest.raises(StoreError):
        CheckedStore(store).delete('{"url":"http://mirror.example/a.img"}')
