"""Checks 52 to 57: external locations and copies."""

from __future__ import annotations

import hashlib
import threading
import time
import uuid

import pytest

from tests.conftest import StartServer
from tests.functional.v1.conftest import fetching_settings
from tests.support.answers import Answer
from tests.support.server import OCTETS, Server, meta
from tests.support.v1 import BYTES, FORMATS, V1, assert_refused, changed, made
from tests.support.waiting import wait_for
from tests.support.web import Halves, Web

COPY = "x-glance-api-copy-from"
MD5 = hashlib.md5(BYTES).hexdigest()
NO_SOURCES = ["file:///etc/passwd", "filesystem://x", "swift+config://x", "nosuch://x", "/etc/passwd"]


def copy(v1: V1, url: str, **fields: str) -> Answer:
    """POST an image with the header copy-from."""
    return v1.request("POST", "/images", {COPY: url, **meta(**fields)})


def refuse_both(v1: V1, url: str, status: int, *words: str, **fields: str) -> None:
    """Check that a source is refused as a location and for copying, and leaves nothing."""
    for answer_to in (lambda image_id: v1.post(id=image_id, location=url, **fields),
                      lambda image_id: copy(v1, url, id=image_id, **fields)):  # fmt: skip
        image_id = str(uuid.uuid4())
        assert_refused(answer_to(image_id), status, *words)
        assert v1.server.query("SELECT id FROM images WHERE id = ?", image_id) == []


@pytest.mark.parametrize("uri", NO_SOURCES)
def test_052_a_uri_that_no_store_accepts_is_refused_as_a_source(fetching: V1, uri: str) -> None:
    refuse_both(fetching, uri, 400, "External sources are not supported", **FORMATS)


def test_052_an_empty_source_is_refused(fetching: V1) -> None:
    refuse_both(fetching, "", 400, "External source should not be empty", **FORMATS)


def test_053_a_location_is_read_and_never_deleted(fetching: V1, source: Web) -> None:
    url = source.answer(Halves(BYTES))
    answer = fetching.post(location=url, **FORMATS)
    image = made(answer)
    assert (image["status"], image["size"]) == ("active", len(BYTES))
    assert url not in answer.text
    assert fetching.get(f"/images/{image['id']}").body == BYTES
    assert fetching.delete(f"/images/{image['id']}").status == 200
    assert fetching.make(location=url, **FORMATS)["size"] == len(BYTES)


def test_054_a_missing_location_is_404(fetching: V1, source: Web) -> None:
    url, image_id = source.answer(Halves(BYTES)), str(uuid.uuid4())
    source.remove(url)
    assert_refused(fetching.post(id=image_id, location=url, **FORMATS), 404)
    assert fetching.server.query("SELECT id FROM images WHERE id = ?", image_id) == []


def killed(v1: V1, answer: Answer) -> str:
    """Return the reason why the copied image was killed."""
    image_id = answer.json["image"]["id"]
    assert v1.wait(image_id, "active", "killed")["status"] == "killed"
    return v1.server.query("SELECT status_reason FROM images WHERE id = ?", image_id)[0][0]


def test_054_a_copy_of_a_missing_source_kills_the_image(fetching: V1, source: Web) -> None:
    """r1-D5: the job detects this, because the request does not contact the source."""
    url = source.answer(Halves(BYTES))
    source.remove(url)
    assert "the source at 127.0.0.1 answers 404 Not Found" in killed(fetching, copy(fetching, url, **FORMATS))


def test_054_a_location_of_another_size_is_409(fetching: V1, source: Web) -> None:
    url, image_id = source.answer(Halves(BYTES)), str(uuid.uuid4())
    assert_refused(fetching.post(id=image_id, location=url, size="18", **FORMATS), 409, "must match")
    assert fetching.head(image_id).status == 404
    assert fetching.make(location=url, size="19", **FORMATS)["size"] == 19


def test_054_a_location_of_another_size_than_reserved_is_409(fetching: V1, source: Web) -> None:
    url, image_id = source.answer(Halves(BYTES)), fetching.make(size="18", **FORMATS)["id"]
    assert_refused(fetching.put(image_id, location=url), 409, "must match")
    assert fetching.head(image_id).meta["status"] == "queued"


def test_054_a_copy_of_another_size_than_declared_or_reserved_kills_the_image(
    fetching: V1, source: Web
) -> None:
    """r1-D5: the job detects this, and fetches no byte."""
    url, image_id = source.answer(Halves(BYTES)), fetching.make(size="18", **FORMATS)["id"]
    assert "must match" in killed(fetching, copy(fetching, url, size="18", **FORMATS))
    assert "must match" in killed(fetching, fetching.request("PUT", f"/images/{image_id}", {COPY: url}))


def test_055_a_source_needs_both_formats(fetching: V1, source: Web) -> None:
    url = source.answer(Halves(BYTES))
    refuse_both(fetching, url, 400, "Disk format is not specified", container_format="ovf")
    refuse_both(fetching, url, 400, "Container format is not specified", disk_format="raw")


def test_056_an_image_with_two_sources_is_refused(fetching: V1, source: Web) -> None:
    url = source.answer(Halves(BYTES))
    words = (400, "multiple image sources")
    assert_refused(fetching.post(BYTES, location=url, **FORMATS), *words)
    with_body = {COPY: url, **OCTETS, **meta(**FORMATS)}
    assert_refused(fetching.request("POST", "/images", with_body, BYTES), *words)
    image_id = str(uuid.uuid4())
    assert_refused(copy(fetching, url, id=image_id, location=url, **FORMATS), *words)
    assert fetching.head(image_id).status == 404


def test_057_a_copy_is_queued_first_and_stored_later(fetching: V1, source: Web) -> None:
    url = source.answer(Halves(BYTES))
    image = made(copy(fetching, url, **FORMATS))
    assert (image["status"], image["size"]) == ("queued", 0)  # the source was not contacted yet
    told = fetching.wait(image["id"], "active", "killed")
    assert (told["status"], told["checksum"], told["size"]) == ("active", MD5, str(len(BYTES)))
    source.remove(url)
    assert fetching.get(f"/images/{image['id']}").body == BYTES


def test_057_an_interrupted_source_kills_the_image(fetching: V1, source: Web) -> None:
    image = made(copy(fetching, source.answer(Halves(BYTES, broken=True)), **FORMATS))
    assert fetching.wait(image["id"], "active", "killed")["status"] == "killed"
    assert fetching.server.blobs(image["id"]) == []
    assert fetching.get(f"/images/{image['id']}").status == 404


def test_057_a_copy_of_another_checksum_than_declared_kills_the_image(fetching: V1, source: Web) -> None:
    url = source.answer(Halves(BYTES))
    image = made(copy(fetching, url, checksum="0" * 32, **FORMATS))
    assert fetching.wait(image["id"], "active", "killed")["status"] == "killed"
    image = made(copy(fetching, url, checksum=MD5, **FORMATS))
    assert fetching.wait(image["id"], "active", "killed")["status"] == "active"


def test_057_a_copy_can_complete_a_reserved_image(fetching: V1, source: Web) -> None:
    image_id = fetching.make(**FORMATS)["id"]
    url = source.answer(Halves(BYTES))
    changed(fetching.request("PUT", f"/images/{image_id}", {COPY: url}))
    assert fetching.wait(image_id, "active", "killed")["status"] == "active"
    refused = fetching.request("PUT", f"/images/{image_id}", {COPY: url})
    assert_refused(refused, 400, "queued status")


def test_057_a_copy_continues_after_the_server_was_killed(start_server: StartServer, source: Web) -> None:
    served = Halves(BYTES * 100_000, gate=threading.Event())
    server: Server = start_server(
        {**fetching_settings(source), "calotype.lease": "2", "calotype.sweep_interval": "1"}
    )
    v1 = V1(server)
    image = made(copy(v1, source.answer(served), **FORMATS))
    v1.wait(image["id"], "saving")
    assert served.begun.wait(30)
    server.kill()
    served.gate.set()
    server.start()
    told = v1.wait(image["id"], "active", "killed")
    assert told["status"] == "active"
    assert v1.get(f"/images/{image['id']}").body == served.data
    # All other bytes are removed, or will be.
    assert (
        len([row for row in v1.server.query("SELECT state FROM image_locations") if row == ("stored",)]) == 1
    )


def test_s_19_copies_from_slow_sources_take_only_the_configured_threads(
    start_server: StartServer, source: Web
) -> None:
    v1 = V1(start_server({**fetching_settings(source), "calotype.job_threads": "2"}))
    slow = [Halves(BYTES, gate=threading.Event()) for _ in range(4)]
    images = [made(copy(v1, source.answer(one), **FORMATS))["id"] for one in slow]

    wait_for(lambda: sum(one.begun.is_set() for one in slow) == 2)
    time.sleep(3)  # longer than an idle thread waits before it looks for jobs
    assert sum(one.begun.is_set() for one in slow) == 2
    assert v1.get("/images").status == 200
    for one in slow:
        one.gate.set()
    assert [v1.wait(image_id, "active", "killed")["status"] for image_id in images] == ["active"] * 4


def await_no_bytes(v1: V1, image_id: str) -> None:
    """Wait until no bytes of the image are left: neither complete nor partial files, nor rows."""
    end = time.monotonic() + 30
    rows = 'SELECT "key" FROM image_locations WHERE image_id = ?'
    while v1.server.blobs(image_id) or v1.server.leftovers() or v1.server.query(rows, image_id):
        assert time.monotonic() < end, (v1.server.blobs(image_id), v1.server.leftovers())
        time.sleep(0.02)


def test_057_an_image_that_is_deleted_while_it_is_copied_leaves_no_bytes(fetching: V1, source: Web) -> None:
    """r1-E23, C-11, G-23: the status alone would not show whether the bytes are removed."""
    served = Halves(BYTES * 100_000, gate=threading.Event())
    image = made(copy(fetching, source.answer(served), **FORMATS))
    fetching.wait(image["id"], "saving")
    assert served.begun.wait(30)
    written_down = "SELECT state FROM image_locations WHERE image_id = ?"
    assert fetching.server.query(written_down, image["id"]) == [("intended",)]
    assert fetching.delete(f"/images/{image['id']}").status == 200
    served.gate.set()
    await_no_bytes(fetching, image["id"])
    fetching.wait(image["id"], "deleted")
    assert fetching.get(f"/images/{image['id']}").status == 404


def test_057_an_image_that_is_deleted_before_or_after_it_is_copied_leaves_no_bytes(
    fetching: V1, source: Web
) -> None:
    """r1-E23, G-23: the other phases. With both job threads held up, a third copy cannot begin."""
    gate = threading.Event()
    held = [made(copy(fetching, source.answer(Halves(BYTES, gate=gate)), **FORMATS)) for _ in range(2)]
    for image in held:
        fetching.wait(image["id"], "saving")
    queued = made(copy(fetching, source.answer(Halves(BYTES)), **FORMATS))
    assert fetching.head(queued["id"]).meta["status"] == "queued"
    assert fetching.delete(f"/images/{queued['id']}").status == 200
    gate.set()
    for image in held:
        assert fetching.wait(image["id"], "active", "killed")["status"] == "active"
        assert fetching.server.blobs(image["id"]) != []
        assert fetching.delete(f"/images/{image['id']}").status == 200
    for image in (*held, queued):
        await_no_bytes(fetching, image["id"])
        assert fetching.get(f"/images/{image['id']}").status == 404


def test_bug_39_internal_addresses_are_not_fetched(v1: V1, source: Web) -> None:
    url = source.answer(Halves(BYTES))  # this server has no network allowed
    refuse_both(v1, url, 400, **FORMATS)
    for inside in ("http://[::1]/", "http://169.254.169.254/latest/meta-data", "http://localhost/"):
        refuse_both(v1, inside, 400, **FORMATS)


def test_bug_41_a_query_string_is_part_of_the_source(fetching: V1, source: Web) -> None:
    url = source.answer(Halves(BYTES), "?a=b&c=d%20e")
    image = fetching.make(location=url, **FORMATS)
    assert fetching.get(f"/images/{image['id']}").body == BYTES


def test_glanceclient_sends_a_source_percent_encoded(fetching: V1, source: Web) -> None:
    url = source.answer(Halves(BYTES), "?a=b")
    encoded = url.replace("?", "%3F").replace("=", "%3D")
    headers = {"User-Agent": "python-glanceclient", COPY: encoded, **meta(**FORMATS)}
    image = made(fetching.request("POST", "/images", headers))
    assert fetching.wait(image["id"], "active", "killed")["status"] == "active"
