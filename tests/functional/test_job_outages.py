"""r1-H4: jobs are accepted while a store is unavailable, and done later by any process."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from calotype.stores.options import read_options
from calotype.testing import Fault, FaultProxy
from calotype_store_s3 import S3Options, S3Store
from tests.conftest import StartServer
from tests.support.server import OCTETS, Server

JSON = {"Content-Type": "application/json"}
FORMATS = {"disk_format": "raw", "container_format": "bare"}
BYTES = b"bytes of an image" * 1000
STORES = {
    "calotype.stores": "near far",
    "calotype.default_store": "near",
    "store.file.path": "",
    "store.file.create": "",
    "store.near.driver": "file",
    "store.near.path": "${data_dir}/near",
    "store.near.create": "true",
}
JOBS = 8


@dataclass(frozen=True)
class Far:
    """A store that can be made unavailable and available again."""

    settings: Mapping[str, str]
    leave: Callable[[], object]
    come_back: Callable[[], object]


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """Return the directory that the processes share."""
    folder = tmp_path / "shared"
    folder.mkdir()
    return folder


@pytest.fixture
def far_file(data_dir: Path) -> Far:
    """Return a store on a directory, like a disk that is mounted or not."""
    path = data_dir / "far"
    settings = {"store.far.driver": "file", "store.far.path": str(path), "store.far.create": "true"}
    aside = path.with_name("aside")
    return Far(settings, lambda: path.rename(aside), lambda: aside.rename(path))


@pytest.fixture
def far_s3(swift: Mapping[str, str]) -> Iterator[Far]:
    """Yield a bucket of Swift's S3 behind a proxy that refuses connections on command."""
    endpoint = urlsplit(swift["S3_ENDPOINT"])
    with FaultProxy(endpoint.hostname or "", endpoint.port or 0) as proxy:
        options = {
            "endpoint_url": proxy.url,
            "region": swift["S3_REGION"],
            "access_key": swift["S3_ACCESS_KEY"],
            "secret_key": swift["S3_SECRET_KEY"],
            "bucket": "outages",
        }
        store = S3Store("far", read_options("far", S3Options, options))
        store.create()
        store.close()
        settings = {f"store.far.{name}": value for name, value in options.items()}
        yield Far(
            {"store.far.driver": "s3", "store.far.retries": "0", **settings},
            lambda: proxy.inject(Fault(refuse=True), times=None),
            proxy.heal,
        )


@pytest.fixture(params=["file", pytest.param("s3", marks=pytest.mark.campaign)])
def far(request: pytest.FixtureRequest) -> Far:
    """Return each kind of store in turn."""
    return request.getfixturevalue(f"far_{request.param}")


def call(server: Server, path: str, document: Any) -> Any:
    """POST a document to v2, and return the response's document."""
    answer = server.post(f"/v2{path}", JSON, json.dumps(document).encode())
    assert answer.status in (201, 202), answer.text
    return json.loads(answer.body) if answer.body else None


def begin_import(server: Server) -> str:
    """Stage the bytes of a new image, and begin to import them into the store `far`."""
    image_id = call(server, "/images", {"name": "imported", **FORMATS})["id"]
    assert server.put(f"/v2/images/{image_id}/stage", OCTETS, BYTES).status == 204
    call(server, f"/images/{image_id}/import", {"method": {"name": "glance-direct"}, "stores": ["far"]})
    return image_id


def begin_copy(server: Server) -> str:
    """Begin to copy an active image into the store `far`."""
    image_id = server.upload(BYTES)["id"]
    call(server, f"/images/{image_id}/import", {"method": {"name": "copy-image"}, "stores": ["far"]})
    return image_id


def tasks(server: Server) -> list[dict[str, Any]]:
    """Return the complete documents of all tasks."""
    listed = json.loads(server.get("/v2/tasks").body)["tasks"]
    return [json.loads(server.get(one["self"]).body) for one in listed]


def wait_for(server: Server, holds: Callable[[dict[str, Any]], bool]) -> None:
    """Wait until a condition holds for all tasks."""
    end = time.monotonic() + 120
    while not all(holds(task) for task in tasks(server)):
        assert time.monotonic() < end, tasks(server)
        time.sleep(0.1)


def has_waited(task: dict[str, Any]) -> bool:
    """Return whether the task shows the reason why it waits; it must not have ended."""
    assert task["status"] in ("pending", "processing"), task
    return task["message"].startswith("waiting for store 'far': ")


def has_succeeded(task: dict[str, Any]) -> bool:
    """Return whether the task has succeeded; it must not have failed."""
    assert task["status"] != "failure", task
    return task["status"] == "success"


def assert_there(server: Server, image_id: str) -> None:
    """Check that an image is active, with its bytes, in the store `far`."""
    image = json.loads(server.get(f"/v2/images/{image_id}").body)
    assert (image["status"], image["stores"].split(",")[0]) == ("active", "far")
    assert server.get(f"/v2/images/{image_id}/file").body == BYTES


def test_two_processes_keep_their_jobs_while_a_store_is_unavailable(
    start_server: StartServer, data_dir: Path, far: Far
) -> None:
    """r1-H4"""
    settings = {**STORES, **far.settings}
    one = start_server(settings, data_dir=data_dir)
    two = start_server({**settings, "sqlalchemy.url": one.database_url}, data_dir=data_dir)
    two.database_url = one.database_url
    far.leave()
    images = [begin(server) for begin in (begin_import, begin_copy) for server in (one, two) * (JOBS // 4)]
    wait_for(two, has_waited)
    shown = one.head(f"/images/{images[0]}")
    assert shown.status == 200

    far.come_back()

    wait_for(one, has_succeeded)
    for image_id in images:
        assert_there(two, image_id)
    assert "Traceback" not in one.log + two.log


def test_a_waiting_job_continues_after_a_restart(
    start_server: StartServer, data_dir: Path, far_file: Far
) -> None:
    """r1-H4"""
    server = start_server({**STORES, **far_file.settings}, data_dir=data_dir)
    far_file.leave()
    image_id = begin_import(server)
    wait_for(server, has_waited)
    server.kill()
    far_file.come_back()
    server.start()
    wait_for(server, has_succeeded)
    assert_there(server, image_id)


def test_deleting_an_image_ends_the_wait_of_its_import(
    start_server: StartServer, data_dir: Path, far_file: Far
) -> None:
    """r1-H4"""
    server = start_server({**STORES, **far_file.settings}, data_dir=data_dir)
    far_file.leave()
    image_id = begin_import(server)
    wait_for(server, has_waited)
    assert server.get(f"/images/{image_id}").status == 404  # it has no bytes yet
    assert server.delete(f"/v2/images/{image_id}").status == 204
    wait_for(server, lambda task: task["status"] == "failure" and "was deleted" in task["message"])


def test_a_job_gives_up_after_its_patience(start_server: StartServer, data_dir: Path, far_file: Far) -> None:
    """r1-H4"""
    server = start_server({**STORES, **far_file.settings, "calotype.job_patience": "2"}, data_dir=data_dir)
    far_file.leave()
    image_id = begin_import(server)
    wait_for(server, lambda task: task["status"] == "failure")
    (task,) = tasks(server)
    assert task["message"].startswith("store 'far': its directory does not exist")
    image = json.loads(server.get(f"/v2/images/{image_id}").body)
    assert (image["status"], image["os_glance_failed_import"]) == ("queued", "far")
