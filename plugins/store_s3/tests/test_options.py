"""The options of an S3 store, and their effects before the first connection."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calotype.stores import ConfigurationError
from calotype.stores.options import read_options
from calotype_store_s3 import S3Options, S3Store
from calotype_store_s3.parts import PARTS, part_sizes

MIB, GIB, TIB = 1 << 20, 1 << 30, 1 << 40
KEYS = {"access_key": "us", "secret_key": "a-canary-of-a-secret", "region": "eu-west-1"}


def url_of(**options: str) -> str:
    """The direct URL of a blob, which takes no network to sign."""
    store = S3Store("s3", read_options("s3", S3Options, {"bucket": "images", **KEYS, **options}))
    try:
        return store.direct_url("s3:a.1", 60)
    finally:
        store.close()


def test_the_bucket_is_the_only_required_option() -> None:
    assert S3Options.missing({}) == ["bucket"]
    assert read_options("s3", S3Options, {"bucket": "images"}).bucket == "images"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"access_key": "us"}, "set both or neither"),
        ({"secret_key": "s"}, "set both or neither"),
        ({"kms_key_id": "k"}, "kms_key_id needs sse"),
        ({"kms_key_id": "k", "sse": "AES256"}, "kms_key_id needs sse"),
        ({"endpoint_url": "s3.example"}, "option endpoint_url"),
        ({"endpoint_url": "http://us:key@s3.example"}, "option endpoint_url"),
        ({"endpoint_url": "https://s3.example/bucket"}, "option endpoint_url"),
        ({"ca_bundle": "/nowhere/ca.pem"}, "option ca_bundle"),
        ({"part_size": "4MiB"}, "option part_size"),
        ({"part_size": "6GiB"}, "option part_size"),
        ({"prefix": "../up"}, "option prefix"),
        ({"prefix": "/a"}, "option prefix"),
        ({"addressing": "dns"}, "option addressing"),
        ({"retries": "-1"}, "option retries"),
        ({"bucket": "a/b"}, "option bucket"),
    ],
)
def test_the_error_for_an_invalid_option_names_the_option(options: dict[str, str], sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        read_options("s3", S3Options, {"bucket": "images", **options})


@pytest.mark.parametrize("prefix", ["", "a", "a/", "a/b", "a/b/"])
def test_keys_with_a_prefix_are_in_the_folder_of_that_name(prefix: str) -> None:
    key = urlsplit(url_of(endpoint_url="http://s3.example", prefix=prefix)).path

    assert key == "/images/" + "".join(f"{part}/" for part in prefix.split("/") if part) + "a.1"


def test_the_bucket_is_in_the_host_name_at_aws_and_in_the_path_elsewhere() -> None:
    assert urlsplit(url_of()).hostname.startswith("images.")
    assert urlsplit(url_of(endpoint_url="http://s3.example")).hostname == "s3.example"
    assert urlsplit(url_of(endpoint_url="http://s3.example", addressing="virtual")).hostname == (
        "images.s3.example"
    )
    assert urlsplit(url_of(addressing="path")).path == "/images/a.1"


def test_a_direct_url_leads_to_the_public_endpoint_and_is_good_for_a_week_at_most() -> None:
    store = S3Store(
        "s3",
        read_options(
            "s3",
            S3Options,
            {
                "bucket": "images",
                "endpoint_url": "http://10.0.0.1:8080",
                "public_endpoint": "https://img.example",
                **KEYS,
            },
        ),
    )
    url = urlsplit(store.direct_url("s3:a.1", 10**9))
    store.close()

    assert (url.scheme, url.hostname, url.path) == ("https", "img.example", "/images/a.1")
    assert parse_qs(url.query)["X-Amz-Expires"] == ["604800"]


@given(
    size=st.integers(0, 5 * TIB) | st.integers(0, 400 * MIB),
    first=st.none() | st.integers(5 * MIB, 5 * GIB),
)
def test_any_known_length_fits_into_equal_parts(size: int, first: int | None) -> None:
    part, *more = islice(part_sizes(size, first), 3)

    assert more == [part, part]
    assert part * PARTS >= size
    assert 5 * MIB <= part <= max(first or 16 * MIB, size // PARTS + MIB)


@given(first=st.none() | st.integers(5 * MIB, 5 * GIB))
def test_any_unknown_length_fits_into_growing_parts(first: int | None) -> None:
    sizes = list(part_sizes(None, first))

    assert len(sizes) == PARTS
    assert sum(sizes) >= 5 * TIB
    assert sizes == sorted(sizes)
    assert sizes[0] == (first or 12 * MIB)
    assert sizes[-1] <= max(first or 0, GIB)


def test_eight_gibibytes_of_unknown_length_need_parts_of_which_three_fit_into_memory() -> None:
    assert sum(size for size in part_sizes(None, None) if size <= 12 * MIB) > 8 * GIB


def test_the_readme_lists_every_option_with_its_description() -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    rows = {row[0].strip(" `"): row[2].strip() for row in _rows(readme)}

    assert rows == {name: field.description for name, field in S3Options.model_fields.items()}


def _rows(text: str) -> list[list[str]]:
    return [line.strip("|").split("|") for line in text.splitlines() if line.startswith("| `")]
