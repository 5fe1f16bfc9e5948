"""What the S3 tests share: stores in new buckets of real servers."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping

import pytest

from tintype.stores.options import read_options
from tintype_store_s3 import S3Options, S3Store

MIB = 1 << 20
#: Parts as small as S3 allows, so that multipart paths run on little data.
SMALL_PARTS = {"part_size": str(5 * MIB), "multipart_threshold": str(5 * MIB), "memory": str(15 * MIB)}

_numbers = itertools.count()


def ini(settings: Mapping[str, str], bucket: str, **options: object) -> dict[str, str]:
    """The ini text of a store on that server; `options` add to it, None takes an option away."""
    given = {
        "endpoint_url": settings["S3_ENDPOINT"],
        "region": settings["S3_REGION"],
        "access_key": settings["S3_ACCESS_KEY"],
        "secret_key": settings["S3_SECRET_KEY"],
        "bucket": bucket,
        **SMALL_PARTS,
        **options,
    }
    return {name: str(value) for name, value in given.items() if value is not None}


@pytest.fixture(scope="session")
def server(swift: Mapping[str, str]) -> Mapping[str, str]:
    """The S3 server of tests that need just one: Swift's s3api."""
    return swift


@pytest.fixture(scope="session")
def bucket(server: Mapping[str, str]) -> str:
    """A bucket of that server."""
    store = S3Store("s3", read_options("s3", S3Options, ini(server, "images")))
    store.create()
    store.close()
    return "images"


@pytest.fixture
def make(server: Mapping[str, str], bucket: str) -> Iterator[Callable[..., S3Store]]:
    """make(**options): a store on the server, under a prefix of its own; closed when the test ends."""
    made = []

    def make_store(**options: object) -> S3Store:
        given = {"prefix": f"t{next(_numbers)}", **options}
        made.append(S3Store("s3", read_options("s3", S3Options, ini(server, bucket, **given))))
        return made[-1]

    yield make_store
    for store in made:
        store.close()


@pytest.fixture
def store(make: Callable[..., S3Store]) -> S3Store:
    """A store with small parts on the server."""
    return make()
