"""Images with bytes on a web server: the http driver against a real server on loopback."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from tests.support.server import Server, meta, write_ini
from tests.support.web import Web

BYTES = bytes(range(256)) * 500


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """A web server with a folder of files."""
    with Web(folder=tmp_path_factory.mktemp("source")) as web:
        yield web


@pytest.fixture(scope="module")
def fetching(source: Web, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Yield a server that may fetch from this source only."""
    folder = tmp_path_factory.mktemp("fetching")
    settings = {
        "store.http.allowed_networks": "127.0.0.1/32",
        "store.http.ports": str(source.port),
        "store.http.retries": "0",
    }
    running = Server(folder, write_ini(folder, settings))
    yield running
    running.stop()


def test_check_22_an_image_is_read_from_its_location(fetching: Server, source: Web) -> None:
    url = source.place(BYTES)
    answer = fetching.post("/images", meta(name="far", location=url))
    image = answer.image
    assert (image["status"], image["size"], image["store"]) == ("active", len(BYTES), "http")
    assert url not in answer.text
    got = fetching.get(f"/images/{image['id']}")
    assert (got.status, got.body) == (200, BYTES)
    assert got.headers["Content-Length"] == str(len(BYTES))
    part = fetching.get(f"/images/{image['id']}", {"Range": "bytes=100-199"})
    assert (part.status, part.body) == (206, BYTES[100:200])


def test_deleting_the_image_leaves_the_source(fetching: Server, source: Web) -> None:
    url = source.place(BYTES)
    image_id = fetching.post("/images", meta(location=url)).image["id"]
    assert fetching.delete(f"/images/{image_id}").status == 200
    assert (source.folder / url.rpartition("/")[2]).read_bytes() == BYTES


def test_a_source_that_changed_is_an_error_and_not_other_bytes(fetching: Server, source: Web) -> None:
    url = source.place(BYTES)
    image_id = fetching.post("/images", meta(location=url)).image["id"]
    (source.folder / url.rpartition("/")[2]).write_bytes(b"changed behind our back")
    got = fetching.get(f"/images/{image_id}")
    assert got.status in (404, 502, 503)
    assert b"behind our back" not in got.body
    assert url not in got.text


def test_an_unreachable_source_is_an_error_in_one_sentence(fetching: Server, source: Web) -> None:
    url = source.place(BYTES)
    image_id = fetching.post("/images", meta(location=url)).image["id"]
    (source.folder / url.rpartition("/")[2]).unlink()
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
def test_a_forbidden_or_missing_source_leaves_no_record(fetching: Server, source: Web, location: str) -> None:
    image_id = str(uuid.uuid4())
    answer = fetching.post("/images", meta(id=image_id, location=location.format(port=source.port)))
    assert answer.status in (400, 404)
    assert "secret" not in answer.text
    assert fetching.head(f"/images/{image_id}").status == 404


def test_the_default_settings_forbid_fetching_from_this_machine(server: Server, source: Web) -> None:
    assert server.post("/images", meta(location=source.place(BYTES))).status == 400
