"""Images whose bytes lie on a web server: the http driver, against a real one on the loopback address."""

from __future__ import annotations

import http.server
import threading
import uuid
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.support.server import Server, meta, write_ini

BYTES = bytes(range(256)) * 500


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files, and says nothing about it."""

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, int]]:
    """The folder that a web server serves, and its port."""
    folder = tmp_path_factory.mktemp("source")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as web:
        thread = threading.Thread(target=web.serve_forever)
        thread.start()
        yield folder, web.server_port
        web.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def fetching(source: tuple[Path, int], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that may fetch from there, and from nowhere else on this machine."""
    folder = tmp_path_factory.mktemp("fetching")
    settings = {
        "store.http.allowed_networks": "127.0.0.1/32",
        "store.http.ports": str(source[1]),
        "store.http.retries": "0",
    }
    running = Server(folder, write_ini(folder, settings))
    yield running
    running.stop()


def place(source: tuple[Path, int], data: bytes) -> str:
    """Put bytes onto the web server and return their URL."""
    name = uuid.uuid4().hex
    (source[0] / name).write_bytes(data)
    return f"http://127.0.0.1:{source[1]}/{name}"


def test_check_22_an_image_is_read_where_it_lies(fetching: Server, source: tuple[Path, int]) -> None:
    url = place(source, BYTES)
    answer = fetching.post("/images", meta(name="far", location=url))
    image = answer.image
    assert (image["status"], image["size"], image["store"]) == ("active", len(BYTES), "http")
    assert url not in answer.text
    got = fetching.get(f"/images/{image['id']}")
    assert (got.status, got.body) == (200, BYTES)
    assert got.headers["Content-Length"] == str(len(BYTES))
    part = fetching.get(f"/images/{image['id']}", {"Range": "bytes=100-199"})
    assert (part.status, part.body) == (206, BYTES[100:200])


def test_deleting_the_image_leaves_the_source(fetching: Server, source: tuple[Path, int]) -> None:
    url = place(source, BYTES)
    image_id = fetching.post("/images", meta(location=url)).image["id"]
    assert fetching.delete(f"/images/{image_id}").status == 200
    assert (source[0] / url.rpartition("/")[2]).read_bytes() == BYTES


def test_a_source_that_changed_is_an_error_and_not_other_bytes(
    fetching: Server, source: tuple[Path, int]
) -> None:
    url = place(source, BYTES)
    image_id = fetching.post("/images", meta(location=url)).image["id"]
    (source[0] / url.rpartition("/")[2]).write_bytes(b"changed behind our back")
    got = fetching.get(f"/images/{image_id}")
    assert got.status in (404, 502, 503)
    assert b"changed" not in got.body
    assert url not in got.text


def test_a_source_that_went_away_is_an_error_in_plain_words(
    fetching: Server, source: tuple[Path, int]
) -> None:
    url = place(source, BYTES)
    image_id = fetching.post("/images", meta(location=url)).image["id"]
    (source[0] / url.rpartition("/")[2]).unlink()
    got = fetching.get(f"/images/{image_id}")
    assert got.status in (404, 502, 503)
    assert "127.0.0.1" not in got.text
    assert fetching.delete(f"/images/{image_id}").status == 200


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1:1/x",
        "http://127.0.0.2:{port}/x",
        "http://[::1]:{port}/x",
        "http://169.254.169.254/latest/meta-data/",
        "http://user:secret@127.0.0.1:{port}/x",
        "ftp://127.0.0.1/x",
        "http://",
        "http://127.0.0.1:{port}/nothing",
    ],
)
def test_what_may_not_be_fetched_or_is_not_there_leaves_no_record(
    fetching: Server, source: tuple[Path, int], location: str
) -> None:
    image_id = str(uuid.uuid4())
    answer = fetching.post("/images", meta(id=image_id, location=location.format(port=source[1])))
    assert answer.status in (400, 404)
    assert "secret" not in answer.text
    assert fetching.head(f"/images/{image_id}").status == 404


def test_as_shipped_nothing_on_this_machine_is_fetched(server: Server, source: tuple[Path, int]) -> None:
    assert server.post("/images", meta(location=place(source, BYTES))).status == 400
