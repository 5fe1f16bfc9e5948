"""GET /v2/images/ID/progress, and the progress that listeners hear, while bytes move."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from json import dumps

import pytest

from tests.conftest import StartServer
from tests.functional.test_processes import pids
from tests.support.events import Listener
from tests.support.server import OCTETS, Server
from tests.support.uploads import HALVES, WHOLE, TusClient
from tests.support.v2 import stores
from tests.support.waiting import wait_for
from tests.support.web import Web

BLOCK = b"\x5a" * (1 << 20)


class SlowUpload:
    """An upload in a thread, whose bytes are sent when the test lets them."""

    def __init__(self, server: Server, path: str, blocks: int, *, announced: bool = True):
        self._server, self._path, self._blocks = server, path, blocks
        self._announced = announced
        self.go_on = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._send)
        self._thread.start()

    def _send(self) -> None:
        connection = self._server.connect()
        connection.putrequest("PUT", self._path)
        connection.putheader("Content-Type", OCTETS["Content-Type"])
        if self._announced:
            connection.putheader("Content-Length", str(self._blocks * len(BLOCK)))
        else:
            connection.putheader("Transfer-Encoding", "chunked")
        connection.endheaders()
        for _ in range(self._blocks):
            self.go_on.acquire()
            frame = BLOCK if self._announced else b"%x\r\n%b\r\n" % (len(BLOCK), BLOCK)
            connection.send(frame)
        if not self._announced:
            connection.send(b"0\r\n\r\n")
        assert connection.getresponse().status in (200, 204)
        connection.close()

    def finish(self) -> None:
        self.go_on.release(self._blocks)
        self._thread.join(30)
        assert not self._thread.is_alive()


def progress(server: Server, image_id: str) -> dict:
    answer = server.get(f"/v2/images/{image_id}/progress")
    assert answer.status == 200, answer.text
    return answer.json


def test_an_upload_shows_its_bytes_their_total_and_the_estimated_end(server: Server) -> None:
    image_id = server.reserve()["id"]
    before = progress(server, image_id)
    assert (before["phase"], before["bytes"], before["stores"]) == ("waiting", 0, [])
    upload = SlowUpload(server, f"/images/{image_id}", 8)
    upload.go_on.release(4)
    found = wait_for(lambda: progress(server, image_id), lambda one: one["bytes"] == 4 << 20)
    assert (found["status"], found["phase"], found["total"]) == ("saving", "receiving", 8 << 20)
    assert found["rate"] > 0
    assert found["estimated_end"] >= found["updated_at"]
    (store,) = found["stores"]
    assert (store["store"], store["state"], store["bytes"]) == ("file", "moving", 4 << 20)
    upload.finish()
    after = progress(server, image_id)
    assert (after["phase"], after["bytes"], after["total"]) == ("idle", 8 << 20, 8 << 20)
    assert (after["rate"], after["estimated_end"]) == (None, None)


def test_an_upload_of_unknown_length_has_no_total(server: Server) -> None:
    image_id = server.reserve()["id"]
    upload = SlowUpload(server, f"/images/{image_id}", 4, announced=False)
    upload.go_on.release(3)
    found = wait_for(lambda: progress(server, image_id), lambda one: one["bytes"] == 3 << 20)
    assert (found["total"], found["estimated_end"]) == (None, None)
    upload.finish()


def test_staged_bytes_show_their_progress(server: Server) -> None:
    body = b'{"disk_format": "raw", "container_format": "bare"}'
    image_id = server.post("/v2/images", {"Content-Type": "application/json"}, body).json["id"]
    upload = SlowUpload(server, f"/v2/images/{image_id}/stage", 4)
    upload.go_on.release(2)
    found = wait_for(lambda: progress(server, image_id), lambda one: one["bytes"] == 2 << 20)
    assert (found["status"], found["phase"]) == ("uploading", "staging")
    upload.finish()


def test_an_open_session_shows_its_bytes_and_listeners_hear_them(server: Server) -> None:
    tus = TusClient(server)
    path = tus.begin(len(WHOLE))
    image_id = tus.image(path)
    with Listener(server) as listener:
        assert tus.patch(path, 0, HALVES[0]).status == 204
        heard = listener.hear(image_id, "progress")
        assert (heard.data["bytes"], heard.data["total"]) == (len(HALVES[0]), len(WHOLE))
    found = progress(server, image_id)
    assert (found["status"], found["phase"]) == ("queued", "receiving")
    assert (found["bytes"], found["total"]) == (len(HALVES[0]), len(WHOLE))
    assert found["estimated_end"] >= found["updated_at"]
    assert [(one["store"], one["state"]) for one in found["stores"]] == [("file", "moving")]
    assert tus.patch(path, len(HALVES[0]), HALVES[1]).status == 204
    after = progress(server, image_id)
    assert (after["phase"], after["bytes"], after["total"]) == ("idle", len(WHOLE), len(WHOLE))


def test_a_short_upload_costs_no_write_of_progress(server: Server) -> None:
    image_id = server.upload(b"bytes")["id"]
    assert server.query("SELECT moved FROM image_locations WHERE image_id = ?", image_id) == [(None,)]


def test_listeners_hear_progress_and_another_process_shows_it(start_server: StartServer) -> None:
    server = start_server(server={"processes": "2"})
    pids(server)
    image_id = server.reserve()["id"]
    with Listener(server) as listener:
        upload = SlowUpload(server, f"/images/{image_id}", 6)
        upload.go_on.release(3)
        heard = listener.hear(image_id, "progress")
        assert heard.data["total"] == 6 << 20
        assert heard.data["store"] == "file"
        for _ in range(6):  # by now one process and now the other
            wait_for(lambda: progress(server, image_id), lambda one: one["bytes"] == 3 << 20)
        upload.finish()
        listener.hear(image_id, "activated")
        moved = [one.data["bytes"] for one in listener.heard if one.kind == "progress"]
        assert moved == sorted(moved)


@pytest.fixture
def web() -> Iterator[Web]:
    with Web() as running:
        yield running


def test_an_import_shows_each_store(start_server: StartServer, web: Web) -> None:
    going = threading.Event()

    def page(handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(4 << 20))
        handler.end_headers()
        handler.wfile.write(BLOCK * 2)
        going.wait(30)
        handler.wfile.write(BLOCK * 2)

    web.pages["/slow"] = page
    server = start_server(stores(web))
    document = b'{"disk_format": "raw", "container_format": "bare"}'
    json = {"Content-Type": "application/json"}
    image_id = server.post("/v2/images", json, document).json["id"]
    order = {
        "method": {"name": "web-download", "uri": f"http://127.0.0.1:{web.port}/slow"},
        "stores": ["fast", "cold"],
    }
    body = dumps(order).encode()
    assert server.post(f"/v2/images/{image_id}/import", json, body).status == 202
    found = wait_for(lambda: progress(server, image_id), lambda one: one["bytes"] == 2 << 20, seconds=20)
    assert (found["phase"], found["total"]) == ("importing", 8 << 20)
    states = {one["store"]: one["state"] for one in found["stores"]}
    assert states == {"fast": "moving", "cold": "pending"}
    going.set()
    done = wait_for(lambda: progress(server, image_id), lambda one: one["phase"] == "idle", seconds=20)
    assert {one["store"]: one["state"] for one in done["stores"]} == {"fast": "stored", "cold": "stored"}


def test_an_image_that_the_caller_may_not_see_has_no_progress(server: Server) -> None:
    assert server.get("/v2/images/00000000-0000-4000-8000-00000000dead/progress").status == 404
