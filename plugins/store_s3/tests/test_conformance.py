"""The conformance kit against two S3 servers: Swift's s3api over HTTP and TLS, and Ceph's gateway."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

import pytest

from calotype.stores import Store
from calotype.stores.options import read_options
from calotype.stores.toolkit import BLOCK
from calotype.testing import Fault, FaultProxy, StoreConformance
from calotype_store_s3 import S3Options, S3Store

PART = 5 << 20


class S3Conformance(StoreConformance):
    """A store with the smallest parts that S3 has; the bucket is made by the first test."""

    part_size = PART
    public_options = frozenset({"access_key"})

    @pytest.fixture
    def options(self) -> Mapping[str, str]:
        """Endpoint and credentials, as ini text."""
        raise NotImplementedError

    @pytest.fixture
    def store(self, options: Mapping[str, str]) -> Iterator[S3Store]:
        small = {"part_size": str(PART), "multipart_threshold": str(PART), "memory": "15MiB"}
        given = {"bucket": "kit", "prefix": "images/of-ours", **small, **options}
        store = S3Store("s3", read_options("s3", S3Options, given))
        store.create()
        yield store
        store.close()

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
    def options(self, server: Mapping[str, str]) -> Iterator[Mapping[str, str]]:
        address = urlsplit(server["S3_ENDPOINT"])
        with FaultProxy(address.hostname, address.port) as self.proxy:
            yield {"endpoint_url": self.proxy.url, **keys(server)}

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
        """Return few sizes, because `make test` has ten minutes; the campaigns try all."""
        return [0, 1, BLOCK + 1, PART, PART + 1]

    @pytest.fixture
    def server(self, swift: Mapping[str, str]) -> Mapping[str, str]:
        return swift


@pytest.mark.campaign
class TestOnSwiftOverTls(S3Conformance):
    """With boto3's own checksums too, whose form differs between HTTP and TLS."""

    full = StoreConformance.full  # the proxy has no TLS

    @pytest.fixture
    def options(self, swift: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> Mapping[str, str]:
        monkeypatch.setenv("SSL_CERT_FILE", swift["SWIFT_CACERT"])  # for the kit's reading of direct URLs
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

    @pytest.fixture
    def server(self, ceph: Mapping[str, str]) -> Mapping[str, str]:
        return ceph
