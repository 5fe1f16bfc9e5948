"""TempURLs, secrets and options."""

from __future__ import annotations

import logging

import pytest

from calotype.stores import BadLocation, ConfigurationError, DirectUrl, Misconfigured
from calotype.stores.options import read_options
from calotype.testing import Trickle, pattern, read_all
from calotype_store_swift import SwiftOptions, SwiftStore
from plugins.store_swift.tests.objects import LARGE, MakeStore, expire_tokens, new_key, put

# TempURLs, secrets, options.


def test_direct_urls_are_declared_only_with_a_key(make_store: MakeStore) -> None:
    assert DirectUrl in make_store(created=False).withheld
    assert make_store(created=False, temp_url_key="k").withheld == frozenset()


def test_check_finds_a_wrong_temp_url_key(make_store: MakeStore) -> None:
    store = make_store(temp_url_key="not-the-account's")
    with pytest.raises(Misconfigured, match="temp_url_key"):
        store.check()


def test_no_secret_and_no_token_is_logged(
    make_store: MakeStore,
    make_keystone_store: MakeStore,
    application_credential: dict[str, str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    secrets = []
    for store in (make_store(temp_url_key="canary-temp"), make_keystone_store(**application_credential)):
        location = put(store, pattern(LARGE))
        read_all(store.get(location), limit=LARGE)
        expire_tokens(store) if store.options.auth_version == "1" else None
        store.delete(location)
        secrets += [*store.options.secrets(), store._account.identity.get_token()]
    secrets.remove("testing")  # the word stands in the names of modules

    assert len(secrets) == 4
    assert "swiftclient" in {record.name for record in caplog.records}
    # By default, swiftclient logs the first 16 characters.
    assert [secret for secret in secrets if secret[:12] in caplog.text] == []


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"auth_version": "1", "user": "a:b"},
        {"username": "a", "password": "b"},
        {"application_credential_id": "a"},
    ],
)
def test_incomplete_credentials_are_refused_in_one_sentence(given: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="needs"):
        read_options("swift", SwiftOptions, {"auth_url": "http://swift.invalid", **given})


def test_a_location_contains_only_the_key(store: SwiftStore) -> None:
    key = new_key()

    assert store.add(key, Trickle(b"x")).location == store.locate(key) == f"swift:{key}"
    with pytest.raises(BadLocation):
        store.get(f"swift:{key}/a/00000000")
