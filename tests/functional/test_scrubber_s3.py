"""Objects of an S3 store that were changed or removed at rest: downloads detect it."""

from __future__ import annotations

import http.client
import uuid
from collections.abc import Mapping
from typing import Any

import boto3
import pytest

from tests.conftest import StartServer
from tests.functional.test_scrubber import DATA, PATHS, errors, findings, scrub
from tests.support.server import Server

#: A bucket of boto3, which creates the class at run time.
Bucket = Any


def options(swift: Mapping[str, str], bucket: Bucket, **more: str) -> dict[str, str]:
    return {
        "calotype.stores": "s3",
        "calotype.default_store": "s3",
        "store.file.path": "",
        "store.file.create": "",
        "calotype.scrub_rate": "1GiB",
        "store.s3.endpoint_url": swift["S3_ENDPOINT"],
        "store.s3.region": swift["S3_REGION"],
        "store.s3.access_key": swift["S3_ACCESS_KEY"],
        "store.s3.secret_key": swift["S3_SECRET_KEY"],
        "store.s3.bucket": bucket.name,
        "store.s3.create": "true",
        **more,
    }


@pytest.fixture
def bucket(swift: Mapping[str, str]) -> Bucket:
    """Return a bucket for this test only, because a place belongs to one database."""
    s3 = boto3.resource(
        "s3",
        endpoint_url=swift["S3_ENDPOINT"],
        region_name=swift["S3_REGION"],
        aws_access_key_id=swift["S3_ACCESS_KEY"],
        aws_secret_access_key=swift["S3_SECRET_KEY"],
    )
    return s3.Bucket(f"scrubbed-{uuid.uuid4().hex}")


@pytest.fixture
def server(start_server: StartServer, swift: Mapping[str, str], bucket: Bucket) -> Server:
    return start_server(options(swift, bucket))


def key_of(bucket: Bucket, image_id: str) -> str:
    (found,) = [one.key for one in bucket.objects.all() if image_id in one.key]
    return found


def rotten(data: bytes) -> bytes:
    return data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 1]) + data[len(data) // 2 + 1 :]


@pytest.mark.parametrize("path", PATHS)
def test_an_image_with_a_wrong_hash_never_arrives_completely(
    server: Server, bucket: Bucket, path: str
) -> None:
    """r1-A6"""
    image_id = server.upload(DATA)["id"]
    assert server.get(path.format(image_id)).body == DATA
    bucket.put_object(Key=key_of(bucket, image_id), Body=rotten(DATA))

    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        server.get(path.format(image_id))

    found = [line for line in errors(server) if "calotype.transfers" in line]
    assert len(found) == 1
    assert image_id in found[0]
    assert "wrong digest" in found[0]
    assert findings(server) == [("wrong digest", "s3", image_id, "open")]
    part = server.get(path.format(image_id), {"Range": "bytes=0-9"})
    assert (part.status, part.body) == (206, DATA[:10])
    assert server.head(f"/images/{image_id}").status == 200
    assert "1 checked, 1 bad, 1 in quarantine" in scrub(server, status=1)
    assert server.get(path.format(image_id)).status == 502


def test_a_small_image_with_a_wrong_hash_is_an_error_of_the_service(server: Server, bucket: Bucket) -> None:
    """r1-A6"""
    image_id = server.upload(b"small")["id"]
    bucket.put_object(Key=key_of(bucket, image_id), Body=b"smalk")

    answer = server.get(f"/images/{image_id}")

    assert answer.status == 500
    assert b"smalk" not in answer.body


@pytest.mark.parametrize("redirect", ["false", "true"])
def test_a_missing_object_is_an_error_of_the_service(
    start_server: StartServer, swift: Mapping[str, str], bucket: Bucket, redirect: str
) -> None:
    """r1-H6: after a redirect, the store would answer 404."""
    server = start_server(options(swift, bucket, **{"store.s3.redirect": redirect}))
    image_id = server.upload(DATA)["id"]
    assert server.get(f"/images/{image_id}").status == (307 if redirect == "true" else 200)
    bucket.Object(key_of(bucket, image_id)).delete()

    assert [server.get(path.format(image_id)).status for path in PATHS] == [502] * 3
    (line,) = errors(server)
    assert "missing" in line


def test_a_missing_bucket_makes_no_image_missing(server: Server, bucket: Bucket) -> None:
    """r1-H6"""
    image_id = server.upload(DATA)["id"]
    for one in bucket.objects.all():
        one.delete()
    bucket.delete()

    status = server.get(f"/images/{image_id}").status
    scrub(server)

    assert status == 503
    assert findings(server) == []
