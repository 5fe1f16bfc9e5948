"""copy-image between two buckets of one S3 server: the server copies, and the record stays right."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

import pytest

from calotype.testing import Fault, FaultProxy, pattern
from tests.functional.v2.conftest import StartPeople
from tests.functional.v2.test_imports import begin, order
from tests.support.v2 import People

DATA = pattern(300_000)


@pytest.fixture
def proxy(swift: Mapping[str, str]) -> Iterator[FaultProxy]:
    """A proxy in front of the server, which counts the requests."""
    server = urlsplit(swift["S3_ENDPOINT"])
    with FaultProxy(server.hostname, server.port) as running:
        yield running


@pytest.fixture
def people(start_people: StartPeople, swift: Mapping[str, str], proxy: FaultProxy) -> People:
    """The callers of a service with two buckets as its stores."""
    settings = {"calotype.stores": "fast cold web"}
    for name in ("fast", "cold"):
        settings |= {
            f"store.{name}.driver": "s3",
            f"store.{name}.path": "",
            f"store.{name}.create": "true",
            f"store.{name}.endpoint_url": proxy.url,
            f"store.{name}.region": swift["S3_REGION"],
            f"store.{name}.access_key": swift["S3_ACCESS_KEY"],
            f"store.{name}.secret_key": swift["S3_SECRET_KEY"],
            f"store.{name}.bucket": f"copies-{name}-{uuid.uuid4().hex}",
        }
    return start_people(**settings)


def reads(proxy: FaultProxy, image_id: str) -> list[str]:
    return [line for line in proxy.requests if line.startswith("GET ") and image_id in line]


def test_the_server_copies_an_image_into_another_bucket(people: People, proxy: FaultProxy) -> None:
    image_id = people.u1.active(DATA)
    before = people.u1.show(image_id)
    assert begin(people.adm, image_id, order("copy-image", stores=["cold"])) == 202
    after = people.adm.settled(image_id)

    assert after["stores"] == "cold,fast"
    assert reads(proxy, image_id) == []
    for name in ("checksum", "os_hash_algo", "os_hash_value", "size", "status"):
        assert after[name] == before[name]
    assert people.adm.delete(f"/stores/fast/{image_id}").status == 204
    assert people.u1.get(f"/images/{image_id}/file").body == DATA


def test_a_server_that_refuses_to_copy_gets_the_bytes(people: People, proxy: FaultProxy) -> None:
    image_id = people.u1.active(DATA)
    proxy.inject(Fault("PUT ", status=501))
    assert begin(people.adm, image_id, order("copy-image", stores=["cold"])) == 202

    assert people.adm.settled(image_id)["stores"] == "cold,fast"
    assert len(reads(proxy, image_id)) == 1
    assert people.adm.delete(f"/stores/fast/{image_id}").status == 204
    assert people.u1.get(f"/images/{image_id}/file").body == DATA
