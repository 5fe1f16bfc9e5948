"""Full disks, missing directories, locked or missing databases are reported, and nothing is lost."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.conftest import StartServer
from tests.support.answers import Answer
from tests.support.database import only_sqlite
from tests.support.disks import NoDisk, small_disk
from tests.support.server import OCTETS, Server, StartFailed, meta

MIB = 1 << 20


def assert_told_plainly(answer: Answer, status: int) -> None:
    """Check the status, and for one sentence without internal details."""
    assert answer.status == status, answer.text[:300]
    assert 0 < len(answer.text) < 300
    for inside in ("Traceback", "sqlite", "/images", "OSError", "Errno"):
        assert inside not in answer.text


def assert_killed(server: Server, image_id: str, reason: str) -> None:
    """Check that the image was killed for this reason, and that no bytes are left."""
    told = server.head(f"/images/{image_id}").meta
    assert (told["status"], told["status_reason"]) == ("killed", reason)
    assert server.blobs(image_id) == []
    assert server.leftovers() == []
    assert server.query("SELECT image_locations.key FROM image_locations WHERE image_id = ?", image_id) == []


@pytest.fixture
def small_data_dir(tmp_path: Path) -> Iterator[Path]:
    """Yield a data directory with its images on a file system of 4 MiB."""
    images = tmp_path / "data" / "images"
    images.mkdir(parents=True)
    with ExitStack() as stack:
        try:
            disk = stack.enter_context(small_disk(images, "4m"))
        except NoDisk:
            if "CI" in os.environ:
                raise
            pytest.skip("needs the right to mount a file system")
        yield disk.parent


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_a_full_disk_is_413_and_the_next_smaller_image_is_taken(
    start_server: StartServer, small_data_dir: Path, chunked: bool
) -> None:
    server = start_server(data_dir=small_data_dir)
    kept = server.upload(b"k" * MIB)
    image_id, block = str(uuid.uuid4()), os.urandom(MIB)
    body = (block for _ in range(6)) if chunked else block * 6
    answer = server.post("/images", {**OCTETS, **meta(id=image_id)}, body)
    assert_told_plainly(answer, 413)
    assert_killed(server, image_id, answer.text)
    assert server.upload(block)["status"] == "active"
    assert server.get(f"/images/{kept['id']}").body == b"k" * MIB


def test_an_exhausted_quota_is_413_until_an_image_is_deleted(start_server: StartServer) -> None:
    server = start_server({"store.file.quota": "3000"})
    first = server.upload(b"x" * 2000)["id"]
    image_id = str(uuid.uuid4())
    answer = server.post("/images", {**OCTETS, **meta(id=image_id)}, b"y" * 2000)
    assert_told_plainly(answer, 413)
    assert_killed(server, image_id, answer.text)
    assert server.delete(f"/images/{first}").status == 200
    assert server.upload(b"y" * 2000)["status"] == "active"


def test_an_upload_is_refused_if_it_would_use_the_reserved_space(start_server: StartServer) -> None:
    server = start_server({"store.file.min_free": "1000000 TB"})
    assert_told_plainly(server.post("/images", OCTETS, b"bytes"), 413)
    assert server.reserve()["status"] == "queued"


def test_a_missing_data_directory_is_503_until_it_returns(start_server: StartServer) -> None:
    server = start_server()
    image = server.upload(b"on that disk")
    reserved = server.reserve()["id"]
    images = server.data_dir / "images"
    aside = images.rename(images.with_name("aside"))
    gone = server.get(f"/images/{image['id']}")
    assert_told_plainly(gone, 503)
    assert "does not exist" in gone.body.decode()
    assert "calotype-manage" not in gone.body.decode()
    assert int(gone.headers["Retry-After"]) > 0
    refused = server.put(f"/images/{reserved}", OCTETS, b"bytes")
    assert_told_plainly(refused, 503)
    assert not images.exists()
    assert server.head(f"/images/{image['id']}").status == 200
    aside.rename(images)
    assert server.get(f"/images/{image['id']}").body == b"on that disk"
    assert server.upload(b"again")["status"] == "active"


def test_an_unmounted_disk_is_503_and_not_an_empty_store(start_server: StartServer) -> None:
    server = start_server()
    image = server.upload(b"on that disk")
    images = server.data_dir / "images"
    aside = images.rename(images.with_name("aside"))
    images.mkdir(mode=0o700)  # the mount point without the disk
    assert_told_plainly(server.get(f"/images/{image['id']}"), 503)
    assert_told_plainly(server.post("/images", OCTETS, b"bytes"), 503)
    assert list(images.iterdir()) == []
    images.rmdir()
    aside.rename(images)
    assert server.get(f"/images/{image['id']}").body == b"on that disk"


def test_a_delete_without_the_disk_leaves_the_bytes_pending(start_server: StartServer) -> None:
    server = start_server()
    image_id = server.upload(b"on that disk")["id"]
    images = server.data_dir / "images"
    aside = images.rename(images.with_name("aside"))
    assert server.delete(f"/images/{image_id}").status == 200
    aside.rename(images)
    assert server.head(f"/images/{image_id}").status == 404
    (blob,) = server.blobs(image_id)
    rows = server.query("SELECT image_locations.key, state FROM image_locations WHERE image_id = ?", image_id)
    assert rows == [(blob.name, "doomed")]


@contextlib.contextmanager
def locked_database(server: Server) -> Iterator[None]:
    """Hold a write lock on the server's database, as another process could."""
    with contextlib.closing(
        sqlite3.connect(server.data_dir / "calotype.sqlite", isolation_level=None, timeout=30)
    ) as database:
        database.execute("BEGIN IMMEDIATE")
        yield
        database.execute("ROLLBACK")


@pytest.fixture
def impatient(start_server: StartServer) -> Server:
    """Return a server that waits a tenth of a second for a lock."""
    return start_server({"calotype.busy_timeout": "0.1"})


@only_sqlite
def test_a_locked_database_is_503_with_retry_after_and_nothing_changes(impatient: Server) -> None:
    image = impatient.upload(b"readable", name="before")
    path, other = f"/images/{image['id']}", str(uuid.uuid4())
    with locked_database(impatient):
        answers = [
            impatient.post("/images", meta(id=other)),
            impatient.post("/images", {**OCTETS, **meta(id=other)}, b"bytes"),
            impatient.put(path, meta(name="after")),
            impatient.delete(path),
        ]
        assert impatient.get(path).body == b"readable"
        assert impatient.get("/images").status == 200
    for answer in answers:
        assert_told_plainly(answer, 503)
        assert int(answer.headers["Retry-After"]) > 0
    assert impatient.head(path).meta["name"] == "before"
    assert impatient.head(f"/images/{other}").status == 404
    assert impatient.blobs(other) == []
    assert impatient.reserve(id=other)["status"] == "queued"


@only_sqlite
def test_a_database_that_is_locked_during_an_upload_still_has_a_correct_record(impatient: Server) -> None:
    image_id = str(uuid.uuid4())
    sent_half, locked = threading.Event(), threading.Event()

    def body() -> Iterator[bytes]:
        yield b"x" * MIB
        sent_half.set()
        assert locked.wait(30)
        yield b"y" * MIB

    answers: list[Answer] = []
    upload = threading.Thread(
        target=lambda: answers.append(impatient.post("/images", {**OCTETS, **meta(id=image_id)}, body()))
    )
    upload.start()
    assert sent_half.wait(30)
    with locked_database(impatient):
        locked.set()
        upload.join(30)
    (answer,) = answers
    assert_told_plainly(answer, 503)
    rows = impatient.query("SELECT status FROM images WHERE id = ?", image_id)
    written_down = [key for (key,) in impatient.query("SELECT image_locations.key FROM image_locations")]
    assert rows in ([], [("saving",)], [("killed",)])
    assert [blob.name for blob in impatient.blobs(image_id) if blob.name not in written_down] == []
    assert impatient.get(f"/images/{image_id}").status == 404
    assert impatient.delete(f"/images/{image_id}").status == (404 if not rows else 200)


@only_sqlite
def test_a_database_without_tables_is_503_until_they_return(start_server: StartServer) -> None:
    server = start_server()
    image = server.upload(b"bytes", is_public="True")
    with contextlib.closing(sqlite3.connect(server.data_dir / "calotype.sqlite", timeout=30)) as database:
        database.execute("ALTER TABLE images RENAME TO taken_away")
        for answer in (
            server.get("/images"),
            server.get(f"/images/{image['id']}"),
            server.post("/images", meta(name="x")),
            server.post("/images", OCTETS, b"bytes"),
        ):
            assert_told_plainly(answer, 503)
            assert int(answer.headers["Retry-After"]) > 0
        assert server.get("/versions").status == 200
        database.execute("ALTER TABLE taken_away RENAME TO images")
    assert server.get(f"/images/{image['id']}").body == b"bytes"
    assert len(server.blobs()) == 1


@only_sqlite
def test_a_file_that_is_not_a_database_stops_the_start_with_one_sentence(start_server: StartServer) -> None:
    server = start_server()
    server.upload(b"bytes")
    server.stop()
    for path in server.data_dir.glob("calotype.sqlite*"):
        path.write_bytes(b"no database\n" * 4096)
    with pytest.raises(StartFailed) as failed:
        server.start()
    said = str(failed.value)
    assert "Traceback" not in said
    assert "database" in said
    assert len(server.blobs()) == 1


@only_sqlite
@pytest.mark.parametrize(
    "asked", ["/images/{}", "/v1/images/{}", "/v2/images/{}/file", "/v2/images/{}/stage"]
)
def test_a_quota_that_cannot_be_counted_during_an_upload_is_503_in_every_dialect(
    start_server: StartServer, asked: str
) -> None:
    """r1-H3: it used to be 400 "The source of the image data failed", which blames the client."""
    server = start_server({"calotype.busy_timeout": "0.1", "calotype.project_bytes": "1000000"})
    image_id, locked = server.reserve(disk_format="raw", container_format="bare")["id"], threading.Event()

    def body() -> Iterator[bytes]:
        yield b"x"  # an upload begins with its first byte
        assert locked.wait(30)
        yield b"x" * MIB

    answers: list[Answer] = []
    upload = threading.Thread(
        target=lambda: answers.append(server.put(asked.format(image_id), OCTETS, body()))
    )
    upload.start()
    while server.query("SELECT status FROM images WHERE id = ?", image_id) == [("queued",)]:
        assert upload.is_alive()
    with locked_database(server):
        locked.set()
        upload.join(30)
    (answer,) = answers
    assert answer.status == 503, answer.text
    assert int(answer.headers["Retry-After"]) > 0
    assert "source" not in answer.text
    assert server.blobs(image_id) == []
