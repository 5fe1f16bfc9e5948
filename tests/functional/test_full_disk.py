"""r1-H1: SQLite and the images are on one disk, as in calotype.ini, and the disk is full."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import StartServer
from tests.support.answers import Answer
from tests.support.database import only_sqlite
from tests.support.disks import NoDisk, small_disk
from tests.support.server import OCTETS, Server, meta

pytestmark = only_sqlite

MIB = 1 << 20
JSON = {"Content-Type": "application/json"}
FORMATS = {"disk_format": "raw", "container_format": "bare"}


@dataclass(frozen=True)
class Disk:
    """A disk of 48 MiB at `path`, which only servers that are started `within` see."""

    path: Path
    within: tuple[str, ...]
    data_dir: Path

    @property
    def reserve(self) -> Path:
        """Return the file that reserves space for deletes."""
        return self.path / "calotype.sqlite-reserve"

    def fill(self, *, but: int = 0) -> Path:
        """Create a file that leaves only `but` bytes, as any program can."""
        path, disk = self.path / "filler", os.statvfs(self.path)
        with path.open("ab") as file:
            os.posix_fallocate(file.fileno(), file.tell(), disk.f_bavail * disk.f_frsize - but)
        return path


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """Yield a small disk, for servers in its mount namespace."""
    folder = tmp_path / "data"
    folder.mkdir()
    with ExitStack() as stack:
        try:
            path = stack.enter_context(small_disk(folder, "48m"))
        except NoDisk:
            if "CI" in os.environ:
                raise
            pytest.skip("needs the right to mount a file system")
        if os.geteuid():
            pytest.skip("needs root, to start a server in a mount namespace")
        yield Disk(path, ("nsenter", f"--mount=/proc/{path.parts[2]}/ns/mnt", "--"), folder)


@pytest.fixture
def server(start_server: StartServer, disk: Disk) -> Server:
    """Return a server with all its data on the small disk."""
    return start_server({"calotype.probe_interval": "0.2"}, data_dir=disk.data_dir, within=disk.within)


@dataclass(frozen=True)
class Dialect:
    """How to upload an image, and the path of the image then."""

    upload: Callable[[Server, bytes], Answer]
    rename: Callable[[Server, str], Answer]
    image_id: Callable[[Answer], str]
    path: str


def upload_classic(server: Server, body: bytes) -> Answer:
    return server.post("/images", OCTETS, body)


def upload_v1(server: Server, body: bytes) -> Answer:
    return server.post("/v1/images", {**OCTETS, **meta(name="one", **FORMATS)}, body)


def upload_v2(server: Server, body: bytes) -> Answer:
    made = server.post("/v2/images", JSON, json.dumps({"name": "one", **FORMATS}).encode())
    if made.status != 201:
        return made
    path = f"/v2/images/{json.loads(made.body)['id']}"
    stored = server.put(f"{path}/file", OCTETS, body)
    return made if stored.status == 204 else stored


def rename_v2(server: Server, path: str) -> Answer:
    patch = [{"op": "replace", "path": "/name", "value": "renamed"}]
    media_type = {"Content-Type": "application/openstack-images-v2.1-json-patch"}
    return server.request("PATCH", path, media_type, json.dumps(patch).encode())


def rename(server: Server, path: str) -> Answer:
    return server.put(path, meta(name="renamed"))


def id_in_image(answer: Answer) -> str:
    return json.loads(answer.body)["image"]["id"]


DIALECTS = [
    pytest.param(Dialect(upload_classic, rename, id_in_image, "/images"), id="classic"),
    pytest.param(Dialect(upload_v1, rename, id_in_image, "/v1/images"), id="v1"),
    pytest.param(
        Dialect(upload_v2, rename_v2, lambda made: json.loads(made.body)["id"], "/v2/images"), id="v2"
    ),
]


def fill_with_images(server: Server, dialect: Dialect) -> list[str]:
    """Upload until the disk is full, and return the paths of the stored images."""
    paths = []
    while (answer := dialect.upload(server, os.urandom(4 * MIB))).status in (200, 201):
        paths.append(f"{dialect.path}/{dialect.image_id(answer)}")
    assert answer.status == 413
    assert "full" in answer.text
    return paths


def assert_database_full(answer: Answer) -> None:
    assert answer.status == 507
    assert "disk of the image database is full" in answer.text


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_full_disk_can_be_emptied_through_the_api(server: Server, disk: Disk, dialect: Dialect) -> None:
    """r1-H1"""
    paths = fill_with_images(server, dialect)
    disk.fill()
    assert_database_full(dialect.rename(server, paths[0]))

    for path in paths:
        assert server.delete(path).status in (200, 204), path
        assert server.get(path).status == 404

    assert dialect.upload(server, os.urandom(4 * MIB)).status in (200, 201)


def test_only_deletes_are_accepted_until_the_reserve_fits_again(server: Server, disk: Disk) -> None:
    """r1-H1"""
    image = server.upload(b"bytes")
    filler = disk.fill()
    disk.reserve.unlink()  # like the server for a delete without space

    assert_database_full(server.post("/images", meta(name="more")))
    assert_database_full(server.post("/images", OCTETS, b"more"))
    assert server.get(f"/images/{image['id']}").body == b"bytes"
    assert server.delete(f"/images/{image['id']}").status == 200
    filler.unlink()
    assert server.reserve(name="more")["status"] == "queued"
    assert disk.reserve.exists()


def test_the_reserve_is_restored_when_there_is_room(start_server: StartServer, disk: Disk) -> None:
    """r1-H1"""
    server = start_server({"calotype.sweep_interval": "0.05"}, data_dir=disk.data_dir, within=disk.within)
    server.upload(b"bytes")
    disk.reserve.unlink()
    end = time.monotonic() + 30
    while not disk.reserve.exists():
        assert time.monotonic() < end
        time.sleep(0.01)


def assert_readiness(server: Server, *wanted: object) -> None:
    """Wait until /readyz has these states of the database and the file store."""

    def told(answer: Answer) -> bool:
        said = json.loads(answer.body)
        return (answer.status, said["database"], said["stores"]["file"]) == wanted

    server.readyz(told)


def test_readiness_reports_what_is_full(server: Server, disk: Disk) -> None:
    """r1-H1: a process with a full store is ready, and one with a full database is not."""
    path = f"/images/{server.upload(os.urandom(4 * MIB))['id']}"
    assert_readiness(server, 200, "ok", "ok")
    filler = disk.fill(but=256 << 10)
    assert_readiness(server, 200, "ok", "full")
    disk.fill()
    assert_readiness(server, 503, "full", "full")
    assert server.delete(path).status == 200
    filler.unlink()
    assert_readiness(server, 200, "ok", "ok")


def test_a_protected_image_can_be_unprotected_and_deleted_on_a_full_disk(server: Server, disk: Disk) -> None:
    """r1-H1"""
    path = f"/images/{server.upload(b'bytes', protected='True')['id']}"
    disk.fill()
    assert_database_full(server.put(path, meta(name="renamed")))
    assert server.put(path, meta(protected="False")).status == 200
    assert server.delete(path).status == 200


def test_a_server_starts_on_a_full_disk_and_deletes(server: Server, disk: Disk) -> None:
    """r1-H1"""
    path = f"/images/{server.upload(os.urandom(MIB))['id']}"
    server.stop()
    disk.fill()

    server.start()

    assert server.get(path).status == 200
    assert server.delete(path).status == 200
