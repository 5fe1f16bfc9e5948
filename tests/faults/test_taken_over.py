"""A server is frozen beyond its lease during an upload: a sweep ends the upload, and the client gets 503."""

from __future__ import annotations

import contextlib
import http.client
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from calotype.stores import Store
from calotype.stores.options import read_options
from calotype_store_s3 import S3Options, S3Store
from calotype_store_swift import SwiftOptions, SwiftStore
from tests.support.answers import Answer, read_answer
from tests.support.forked import run_manage
from tests.support.server import Server, write_ini

MIB = 1 << 20
FORMATS = {"disk_format": "raw", "container_format": "bare"}
SENTENCE = "The upload was taken over by a sweep because the server was paused for too long: upload again."
#: The upload to a queued image in each dialect, and the status in which a failure leaves the image.
UPLOADS = {
    "PUT /images/{}": "killed",
    "PUT /v1/images/{}": "killed",
    "PUT /v2/images/{}/file": "queued",
    "PUT /v2/images/{}/stage": "queued",
}
#: The status of each response if the image was deleted.
DELETED = dict(zip(UPLOADS, (412, 412, 410, 410), strict=True))
#: The servers do not sweep: only the command does, as another node would.
SETTINGS = {"calotype.lease": "1", "calotype.sweep_interval": "0", "calotype.busy_timeout": "5"}


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with images in files."""
    folder = tmp_path_factory.mktemp("standing")
    running = Server(folder, write_ini(folder, SETTINGS))
    yield running
    running.stop()


@pytest.fixture(scope="module")
def options(swift: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """The options of a store in a real Swift, by the driver."""
    return {
        "s3": {
            "endpoint_url": swift["S3_ENDPOINT"],
            "region": swift["S3_REGION"],
            "access_key": swift["S3_ACCESS_KEY"],
            "secret_key": swift["S3_SECRET_KEY"],
            "bucket": "taken-over-s3",
            "part_size": "5MiB",
            "multipart_threshold": "5MiB",
            "memory": "10MiB",
        },
        "swift": {
            "auth_version": "1",
            "auth_url": swift["SWIFT_AUTH_URL"],
            "user": swift["SWIFT_USER"],
            "key": swift["SWIFT_KEY"],
            "container": "taken-over",
            "segment_size": "1048576",
            "upload_memory": "4194304",
        },
    }


@pytest.fixture(scope="module")
def backends(options: dict[str, dict[str, str]]) -> Iterator[dict[str, Store]]:
    """The stores as another process opens them, to see their content."""
    with contextlib.ExitStack() as stack:
        opened = {
            "s3": S3Store("s3", read_options("s3", S3Options, options["s3"])),
            "swift": SwiftStore("swift", read_options("swift", SwiftOptions, options["swift"])),
        }
        for store in opened.values():
            stack.callback(store.close)
        yield opened


@pytest.fixture(scope="module")
def remote(options: dict[str, dict[str, str]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with images in Swift, through the Swift and the S3 API."""
    folder = tmp_path_factory.mktemp("remote")
    stores = {
        "calotype.stores": "s3 swift",
        "calotype.default_store": "s3",
        "store.file.path": "",
        "store.file.create": "",
        "store.s3.create": "true",
        "store.swift.create": "true",
        **{f"store.{name}.{key}": value for name, given in options.items() for key, value in given.items()},
    }
    running = Server(folder, write_ini(folder, {**SETTINGS, **stores}))
    yield running
    running.stop()


def status(server: Server, image_id: str) -> str:
    ((found,),) = server.query("SELECT status FROM images WHERE id = ?", image_id)
    return found


def wait_until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def sweep_ends_it(server: Server) -> bool:
    """Return whether a sweep of another process ends the server's upload, whose lease is one second."""
    end = time.monotonic() + 3
    while time.monotonic() < end:
        if run_manage(["sweep", server.ini, *server.variables]).stdout.startswith("1 upload ended"):
            return True
        time.sleep(0.1)
    return False


@contextlib.contextmanager
def taken_over(server: Server) -> Iterator[None]:
    """Freeze the server until the block ends, after a sweep has ended its upload.

    A server that is stopped within a transaction keeps SQLite locked. It is continued then, and stopped
    again.
    """
    try:
        for _ in range(5):
            server.process.send_signal(signal.SIGSTOP)
            if sweep_ends_it(server):
                break
            server.process.send_signal(signal.SIGCONT)
        else:
            pytest.fail("no sweep ended the upload")
        yield
    finally:
        server.process.send_signal(signal.SIGCONT)


def upload_over_a_freeze(
    server: Server,
    asked: str,
    image_id: str,
    half: int,
    *,
    store: str = "",
    begun: Callable[[], bool] = lambda: True,
    meanwhile: Callable[[], object] = lambda: None,
) -> Answer:
    """Send half of an upload, have a sweep end it while the server is frozen, and send the rest.

    The server is frozen once the upload has `begun`; `meanwhile` is called before it continues.
    """
    named = f"x-image-meta-store: {store}\r\n" if store else ""
    head = (
        f"{asked.format(image_id)} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/octet-stream\r\n"
        f"{named}Transfer-Encoding: chunked\r\n\r\n"
    )
    chunk = b"%x\r\n%s\r\n" % (half, bytes(half))
    with contextlib.closing(server.connect()) as connection:
        connection.connect()
        line: socket.socket = connection.sock
        line.sendall(head.encode() + chunk)
        wait_until(lambda: status(server, image_id) in ("saving", "uploading") and begun())
        with taken_over(server):
            meanwhile()
        with contextlib.suppress(
            BrokenPipeError, ConnectionResetError
        ):  # the response came before the end of the request
            line.sendall(chunk + b"0\r\n\r\n")
        response = http.client.HTTPResponse(line)
        response.begin()
        return read_answer(response)


def assert_taken_over(server: Server, answer: Answer, image_id: str, left: str) -> None:
    assert answer.status == 503, answer.text
    assert SENTENCE in answer.text
    assert int(answer.headers["Retry-After"]) > 0
    assert status(server, image_id) == left
    assert server.query("SELECT image_locations.key FROM image_locations WHERE image_id = ?", image_id) == []


@pytest.mark.parametrize("asked", UPLOADS)
def test_an_upload_that_a_sweep_took_over_gets_503_in_every_dialect(standing: Server, asked: str) -> None:
    """r1-H5: the response used to be 410 or 412, \"it was deleted\"."""
    image_id = standing.reserve(**FORMATS)["id"]
    answer = upload_over_a_freeze(standing, asked, image_id, MIB)
    assert_taken_over(standing, answer, image_id, UPLOADS[asked])
    assert (standing.blobs(image_id), standing.leftovers()) == ([], [])


@pytest.mark.parametrize("store", [pytest.param("s3", marks=pytest.mark.campaign), "swift"])
def test_an_upload_that_a_sweep_took_over_gets_503_in_every_store(
    remote: Server, backends: dict[str, Store], store: str
) -> None:
    """r1-H5: S3 used to answer 502 NoSuchUpload, because the sweep had removed the parts."""
    image_id = remote.reserve(**FORMATS)["id"]

    def begun() -> bool:
        return any(image_id in left.location for left in backends[store].attempts())

    answer = upload_over_a_freeze(
        remote, "PUT /v2/images/{}/file", image_id, 12 * MIB, store=store, begun=begun
    )
    assert_taken_over(remote, answer, image_id, "queued")
    assert not begun()
    assert [blob for blob in backends[store].blobs() if image_id in blob.location] == []


def test_an_upload_that_was_taken_over_can_be_sent_again(standing: Server) -> None:
    """r1-H5: the response asks to upload again, and that works if the image is queued."""
    image_id = standing.reserve(**FORMATS)["id"]
    assert upload_over_a_freeze(standing, "PUT /v2/images/{}/file", image_id, MIB).status == 503
    octets = {"Content-Type": "application/octet-stream"}
    assert standing.put(f"/v2/images/{image_id}/file", octets, b"again").status == 204
    assert standing.get(f"/images/{image_id}").body == b"again"


def test_a_worker_that_continues_changes_nothing_of_a_later_upload(standing: Server, tmp_path: Path) -> None:
    """r1-E23, C-07: the image gets its bytes from another process while the first one is frozen."""
    image_id = standing.reserve(**FORMATS)["id"]

    def upload_elsewhere() -> None:
        second = Server(tmp_path, standing.ini, standing.data_dir)
        octets = {"Content-Type": "application/octet-stream"}
        assert second.put(f"/v2/images/{image_id}/file", octets, b"the winner's").status == 204
        second.stop()

    answer = upload_over_a_freeze(
        standing, "PUT /v2/images/{}/file", image_id, MIB, meanwhile=upload_elsewhere
    )
    assert answer.status in (409, 503), answer.text
    assert status(standing, image_id) == "active"
    assert standing.get(f"/images/{image_id}").body == b"the winner's"
    rows = "SELECT state FROM image_locations WHERE image_id = ?"
    assert standing.query(rows, image_id) == [("stored",)]
    assert (len(standing.blobs(image_id)), standing.leftovers()) == (1, [])


@pytest.mark.parametrize("asked", UPLOADS)
def test_an_upload_whose_image_is_deleted_after_the_sweep_reports_the_deletion(
    standing: Server, asked: str
) -> None:
    """r1-H5: the response for an image that was really deleted is as before."""
    image_id = standing.reserve(**FORMATS)["id"]
    deleted = "UPDATE images SET status = 'deleted' WHERE id = ?"
    answer = upload_over_a_freeze(
        standing, asked, image_id, MIB, meanwhile=lambda: standing.execute(deleted, image_id)
    )
    assert answer.status == DELETED[asked], answer.text
    assert "deleted" in answer.text
