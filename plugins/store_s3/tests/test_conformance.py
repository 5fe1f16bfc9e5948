"""The conformance kit against two S3 servers: Swift's s3api over HTTP and TLS, and Ceph's gateway."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

import pytest

from calotype.stores import Store
from calotype.stores.options import read_options
from calotype.testing import Fault, FaultProxy, StoreConformance
from calotype_store_s3 import S3Options, S3Store

PART = 5 << 20


def make_store(options: Mapping[str, str]) -> S3Store:
    """Return a store with the smallest parts that S3 has."""
    small = {"part_size": str(PART), "multipart_threshold": str(PART), "memory": "15MiB"}
    given = {"bucket": "kit", "prefix": "images/of-ours", **small, **options}
    return S3Store("s3", read_options("s3", S3Options, given))


class S3Conformance(StoreConformance):
    """A store whose bucket is made once for a class, because each request to Swift takes long."""

    part_size = PART
    public_options = frozenset({"access_key"})

    @pytest.fixture(scope="class")
    @classmethod
    def bucket(cls, account: Mapping[str, str]) -> None:
        """Make the bucket."""
        with contextlib.closing(make_store(account)) as store:
            store.create()

    @pytest.fixture(scope="class")
    @classmethod
    def account(cls) -> Mapping[str, str]:
        """Endpoint and credentials, as ini text."""
        raise NotImplementedError

    @pytest.fixture
    def options(self, account: Mapping[str, str]) -> Mapping[str, str]:
        """Return the options with which the cases reach the account."""
        return account

    @pytest.fixture
    def store(self, bucket: None, options: Mapping[str, str]) -> Iterator[S3Store]:
        with contextlib.closing(make_store(options)) as store:
            yield store

    @contextlib.contextmanager
    def full(self, store: S3Store) -> Iterator[S3Store]:
        """A server that answers each PUT with 507, Insufficient Storage."""
        server = urlsplit(store.options.endpoint_url)
        with FaultProxy(server.hostname, server.port) as proxy:
            proxy.inject(Fault("PUT ", status=507), times=None)
            options = store.options.model_copy(update={"endpoint_url": proxy.url})
            with contextlib.closing(S3Store(store.name, options)) as full:
                yield full


class Proxied(S3Conformance):
    """A server that is reached through a proxy, so that it can be taken away."""

    @pytest.fixture
    def options(self, account: Mapping[str, str]) -> Iterator[Mapping[str, str]]:
        address = urlsplit(account["endpoint_url"])
        with FaultProxy(address.hostname, address.port) as self.proxy:
            yield {**account, "endpoint_url": self.proxy.url}

    def take_away(self, store: Store) -> contextlib.AbstractContextManager[None]:
        return self.proxy.away()


def keys(settings: Mapping[str, str]) -> dict[str, str]:
    """Return the options with the credentials."""
    return {
        "region": settings["S3_REGION"],
        "access_key": settings["S3_ACCESS_KEY"],
        "secret_key": settings["S3_SECRET_KEY"],
    }


class TestOnSwift(Proxied):
    @classmethod
    def sizes(cls) -> list[int]:
        """Return few sizes, because `make test` has ten minutes. The campaigns try all."""
        return [0, 1, PART, PART + 1]

    @pytest.fixture(scope="class")
    @classmethod
    def account(cls, swift: Mapping[str, str]) -> Mapping[str, str]:
        return {"endpoint_url": swift["S3_ENDPOINT"], **keys(swift)}


@pytest.mark.campaign
class TestOnSwiftOverTls(S3Conformance):
    """With boto3's own checksums too, whose form differs between HTTP and TLS."""

    full = StoreConformance.full  # the proxy has no TLS

    @pytest.fixture(autouse=True)
    def _trusted(self, swift: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", swift["SWIFT_CACERT"])  # for the kit's reading of direct URLs

    @pytest.fixture(scope="class")
    @classmethod
    def account(cls, swift: Mapping[str, str]) -> Mapping[str, str]:
        return {
            "endpoint_url": swift["S3_TLS_ENDPOINT"],
            "ca_bundle": swift["SWIFT_CACERT"],
            "checksums": "when_supported",
            **keys(swift),
        }


@pytest.mark.campaign
class TestOnCeph(Proxied):
    listing_size = 1001
    case_seconds = 300

    @pytest.fixture(scope="class")
    @classmethod
    def account(cls, ceph: Mapping[str, str]) -> Mapping[str, str]:
        return {"endpoint_url": ceph["S3_ENDPOINT"], **keys(ceph)}
