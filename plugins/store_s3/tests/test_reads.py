"""Interrupted reads, which resume, and reads of objects that changed, which do not."""

from __future__ import annotations

from collections.abc import Callable

import boto3
import pytest
from botocore.client import BaseClient

from calotype.stores import BlobChanged, BlobNotFound, Unavailable
from calotype.testing import Fault, FaultProxy, Trickle, pattern, read_all
from calotype_store_s3 import S3Store

SIZE = 3_000_017
Make = Callable[..., S3Store]


@pytest.fixture
def location(store: S3Store) -> str:
    """A blob of SIZE bytes."""
    return store.add("k.1", Trickle(pattern(SIZE))).location


@pytest.mark.parametrize("cut", [0, 1, 65_536, SIZE - 1])
@pytest.mark.parametrize("how", ["reset_down", "truncate_down"])
def test_an_interrupted_read_resumes_at_the_next_byte(
    make: Make, location: str, proxy: FaultProxy, how: str, cut: int
) -> None:
    proxy.inject(Fault("GET ", **{how: cut}), times=3)

    assert read_all(make(endpoint_url=proxy.url).get(location), SIZE) == pattern(SIZE)


def test_an_interrupted_range_resumes_at_the_next_byte(make: Make, location: str, proxy: FaultProxy) -> None:
    proxy.inject(Fault("GET ", truncate_down=1000), times=3)
    reader = make(endpoint_url=proxy.url).get(location, 500_000, 1_000_000)

    assert read_all(reader, 1_000_000) == pattern(SIZE)[500_000:1_500_000]


def test_a_read_ends_after_too_many_breaks_without_a_byte(
    make: Make, location: str, proxy: FaultProxy
) -> None:
    proxy.inject(Fault("GET ", truncate_down=0), skip=1, times=None)
    proxy.inject(Fault("GET ", truncate_down=1000))
    reader = make(endpoint_url=proxy.url, retries=2).get(location)
    with pytest.raises(Unavailable, match="broke while an image was read"):
        read_all(reader, SIZE)

    assert len([line for line in proxy.requests if line.startswith("GET ")]) == 3


def test_a_stalled_read_is_resumed(make: Make, location: str, proxy: FaultProxy) -> None:
    proxy.inject(Fault("GET ", truncate_down=1000))
    proxy.inject(Fault("GET ", latency=2))
    store = make(endpoint_url=proxy.url, read_timeout=0.5, retries=2)

    assert read_all(store.get(location), SIZE) == pattern(SIZE)


@pytest.mark.parametrize("change", ["replaced", "removed", "shortened"])
def test_an_object_that_changes_while_it_is_read_is_an_error(
    make: Make, location: str, proxy: FaultProxy, client: BaseClient, change: str
) -> None:
    proxy.inject(Fault("GET ", truncate_down=1000))
    store = make(endpoint_url=proxy.url)
    reader = store.get(location)
    begun = reader.read(1000)
    name = {"Bucket": "images", "Key": store.options.prefix + "k.1"}
    if change == "removed":
        client.delete_object(**name)
    else:
        client.put_object(Body=pattern(SIZE if change == "replaced" else 10, seed=1), **name)
    with pytest.raises(BlobChanged):
        read_all(reader, SIZE)

    assert begun == pattern(SIZE)[: len(begun)]


def test_a_read_beyond_the_end_returns_no_bytes(store: S3Store, location: str) -> None:
    assert read_all(store.get(location, SIZE, 10), 0) == b""
    assert read_all(store.get(location, SIZE + 10), 0) == b""
    assert read_all(store.get(location, 5, 0), 0) == b""
    assert read_all(store.get(location, SIZE - 5, 10), 5) == pattern(SIZE)[-5:]


def test_an_empty_range_of_a_missing_blob_is_missing(store: S3Store) -> None:
    with pytest.raises(BlobNotFound):
        store.get("s3:never.1", 0, 0)


def test_a_read_without_a_size_reads_all(store: S3Store, location: str) -> None:
    reader = store.get(location)

    assert reader.read() == pattern(SIZE)
    reader.close()


def test_all_calls_share_one_client(make: Make, location: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made, session = [], boto3.session.Session
    monkeypatch.setattr("boto3.session.Session", lambda: made.append(1) or session())
    store = make()
    for _ in range(3):
        read_all(store.get(location), SIZE)
        store.size(location)

    assert len(made) == 1
