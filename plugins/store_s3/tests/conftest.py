"""Fixtures of the S3 tests: stores in a bucket of a real server, and a proxy that fails on demand."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from urllib.parse import urlsplit

import boto3
import botocore.session
import pytest
from boto3.session import Session
from botocore.client import BaseClient
from botocore.loaders import Loader, create_loader

from calotype.stores.options import read_options
from calotype.testing import FaultProxy
from calotype_store_s3 import S3Options, S3Store

BUCKET = "images"
#: Parts as small as S3 allows, so that multipart paths run on little data.
SMALL = {"part_size": "5MiB", "multipart_threshold": "5MiB", "memory": "15MiB"}


def build(**options: object) -> S3Store:
    """A store as its ini text describes it; None takes an option away."""
    given = {name: str(value) for name, value in options.items() if value is not None}
    return S3Store("s3", read_options("s3", S3Options, given))


@pytest.fixture(scope="session")
def account(swift: Mapping[str, str]) -> dict[str, object]:
    """The options that lead to a bucket of Swift's s3api, which is made."""
    options = {
        "endpoint_url": swift["S3_ENDPOINT"],
        "region": swift["S3_REGION"],
        "access_key": swift["S3_ACCESS_KEY"],
        "secret_key": swift["S3_SECRET_KEY"],
        "bucket": BUCKET,
        **SMALL,
    }
    store = build(**options)
    store.create()
    store.close()
    return options


@pytest.fixture(scope="session")
def loader() -> Loader:
    """Return a loader that reads botocore's descriptions of S3 once."""
    return create_loader()


@pytest.fixture(autouse=True)
def _quick_clients(loader: Loader, monkeypatch: pytest.MonkeyPatch) -> None:
    """Share the description of S3, because a client takes 90 ms with reading it, and 15 ms without.

    A session still is each client's own, for it remembers credentials.
    """

    def make_session() -> Session:
        inner = botocore.session.get_session()
        inner.register_component("data_loader", loader)
        return Session(botocore_session=inner)

    monkeypatch.setattr("boto3.session.Session", make_session)


@pytest.fixture
def make(account: dict[str, object]) -> Iterator[Callable[..., S3Store]]:
    """make(**options): a store in that bucket, below a prefix of the test's own; closed at its end."""
    made, prefix = [], f"t-{uuid.uuid4().hex}"  # other processes use the bucket, too

    def make_store(**options: object) -> S3Store:
        made.append(build(**{**account, "prefix": prefix, **options}))
        return made[-1]

    yield make_store
    for store in made:
        store.close()


@pytest.fixture
def store(make: Callable[..., S3Store]) -> S3Store:
    """A store in that bucket."""
    return make()


@pytest.fixture
def proxy(account: dict[str, object]) -> Iterator[FaultProxy]:
    """A proxy before the server."""
    server = urlsplit(str(account["endpoint_url"]))
    with FaultProxy(server.hostname, server.port) as running:
        yield running


@pytest.fixture
def client(account: dict[str, object]) -> Iterator[BaseClient]:
    """Return a client for operations that no store does."""
    made = boto3.session.Session().client(
        "s3",
        endpoint_url=account["endpoint_url"],
        region_name=account["region"],
        aws_access_key_id=account["access_key"],
        aws_secret_access_key=account["secret_key"],
    )
    yield made
    made.close()
