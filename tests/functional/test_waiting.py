"""`?wait=STATUS&timeout=SECONDS`: a request for an image is answered when the image has the status."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.conftest import StartServer
from tests.functional.test_processes import pids
from tests.servers.common import free_ports
from tests.support.answers import Answer
from tests.support.server import OCTETS, Server, meta
from tests.support.waiting import wait_for

V2, V1, CLASSIC = "/v2/images", "/v1/images", "/images"


@pytest.fixture(scope="module")
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(32) as made:
        yield made


def ask(pool: ThreadPoolExecutor, server: Server, path: str, method: str = "GET") -> Future[Answer]:
    """Send a request that waits, and return its response once it has arrived."""
    asked: Future[Answer] = pool.submit(server.request, method, path)
    time.sleep(0.3)
    assert not asked.done()
    return asked


def status(answer: Answer) -> str:
    if answer.body:
        return str(answer.json["status"])
    return str(answer.headers["x-image-meta-status"])


@pytest.mark.parametrize(("method", "path"), [("GET", V2), ("HEAD", V1), ("HEAD", CLASSIC)])
def test_the_response_comes_when_the_image_is_active(server: Server, pool, method: str, path: str) -> None:
    image_id = server.reserve(is_public="True")["id"]
    asked = ask(pool, server, f"{path}/{image_id}?wait=active&timeout=30", method)
    assert server.put(f"/images/{image_id}", OCTETS, b"bytes").status == 200
    answer = asked.result(10)
    assert (answer.status, status(answer)) == (200, "active")


def test_an_image_that_has_the_status_is_answered_at_once(server: Server) -> None:
    image_id = server.upload(b"bytes")["id"]
    assert status(server.get(f"{V2}/{image_id}?wait=active")) == "active"


def test_a_status_that_cannot_be_reached_any_more_is_not_waited_for(server: Server) -> None:
    image_id = server.upload(b"bytes")["id"]
    assert status(server.get(f"{V2}/{image_id}?wait=queued&timeout=30")) == "active"
    assert status(server.get(f"{V2}/{image_id}?wait=killed&timeout=30")) == "active"


def test_a_waiter_for_killed_gets_its_answer(server: Server, pool) -> None:
    image_id = server.reserve(disk_format="qcow2", container_format="bare")["id"]
    asked = ask(pool, server, f"{V2}/{image_id}?wait=killed&timeout=30")
    server.put(f"/images/{image_id}", OCTETS, b"no qcow2 at all")
    answer = asked.result(10)
    assert status(answer) == "killed"
    assert "qcow2" in answer.json["status_reason"]


def test_a_waiter_for_active_is_answered_when_the_image_is_killed(server: Server, pool) -> None:
    image_id = server.reserve(disk_format="qcow2", container_format="bare")["id"]
    asked = ask(pool, server, f"{V1}/{image_id}?wait=active&timeout=30", "HEAD")
    server.put(f"/images/{image_id}", OCTETS, b"no qcow2 at all")
    assert status(asked.result(10)) == "killed"


def test_a_waiter_is_answered_when_an_upload_fails_although_it_may_be_repeated(server: Server, pool) -> None:
    body = b'{"disk_format": "qcow2", "container_format": "bare"}'
    image_id = server.post(V2, {"Content-Type": "application/json"}, body).json["id"]
    asked = ask(pool, server, f"{V2}/{image_id}?wait=active&timeout=30")
    assert server.put(f"{V2}/{image_id}/file", OCTETS, b"no qcow2 at all").status == 415
    answer = asked.result(10)
    assert status(answer) == "queued"
    # An earlier failure does not end a later wait.
    second = ask(pool, server, f"{V2}/{image_id}?wait=active&timeout=1")
    assert status(second.result(10)) == "queued"


def test_the_timeout_answers_with_the_current_document(server: Server) -> None:
    image_id = server.reserve()["id"]
    began = time.monotonic()
    assert status(server.get(f"{V2}/{image_id}?wait=active&timeout=1")) == "queued"
    assert 1 <= time.monotonic() - began < 10


def test_a_deleted_image_gets_404(server: Server, pool) -> None:
    image_id = server.reserve()["id"]
    asked = ask(pool, server, f"{V2}/{image_id}?wait=active&timeout=30")
    server.delete(f"/images/{image_id}")
    assert asked.result(10).status == 404


@pytest.mark.parametrize("query", ["wait=asleep", "wait=active&timeout=x", "wait=active&timeout=301"])
def test_bad_input_gets_400(server: Server, query: str) -> None:
    image_id = server.reserve()["id"]
    assert server.get(f"{V2}/{image_id}?{query}").status == 400


def test_a_request_is_logged_once_and_counted_when_it_is_answered(server: Server, pool) -> None:
    image_id = server.reserve()["id"]
    asked = ask(pool, server, f"{V2}/{image_id}?wait=active&timeout=1")
    answer = asked.result(10)
    lines = server.log_lines(answer.headers["x-openstack-request-id"])
    assert len(lines) == 1
    assert server.log.count(f'path="{V2}/{image_id}"') == 1


def test_waiters_hold_no_worker(start_server: StartServer) -> None:
    few = {"threads": "1", "kept_threads": "1", "blocked_threads": "1"}
    server = start_server({"calotype.listeners_per_caller": "100"}, few)
    image_id = server.reserve(is_public="True")["id"]
    with ThreadPoolExecutor(20) as pool:
        asked = [pool.submit(server.get, f"{V2}/{image_id}?wait=active&timeout=30") for _ in range(20)]
        time.sleep(1)
        assert server.get("/healthz").status == 200
        assert server.put(f"/images/{image_id}", OCTETS, b"bytes").status == 200
        assert {status(one.result(10)) for one in asked} == {"active"}


def test_waiters_beyond_the_limit_of_a_caller_get_429(start_server: StartServer, pool) -> None:
    server = start_server({"calotype.listeners_per_caller": "1"})
    image_id = server.reserve()["id"]
    asked = ask(pool, server, f"{V2}/{image_id}?wait=active&timeout=3")
    refused = server.get(f"{V2}/{image_id}?wait=active&timeout=30")
    assert refused.status == 429
    assert refused.json["error"]["title"] == "Too Many Requests"
    assert asked.result(10).status == 200
    assert server.get(f"{V2}/{image_id}?wait=active&timeout=0").status == 200


def test_a_client_that_leaves_frees_its_place(start_server: StartServer) -> None:
    server = start_server({"calotype.listeners_per_caller": "1"})
    image_id = server.reserve()["id"]
    for _ in range(3):
        connection = server.connect()
        connection.request("GET", f"{V2}/{image_id}?wait=active&timeout=60")
        time.sleep(0.3)
        connection.close()
        wait_for(lambda: server.get(f"{V2}/{image_id}?wait=active&timeout=1").status == 200)


def test_each_process_answers_for_changes_in_the_other(start_server: StartServer) -> None:
    server = start_server({"calotype.listeners_per_caller": "50"}, {"processes": "2"})
    pids(server)
    image_id = server.reserve(is_public="True")["id"]
    with ThreadPoolExecutor(16) as pool:
        asked = [pool.submit(server.get, f"{V2}/{image_id}?wait=active&timeout=30") for _ in range(16)]
        time.sleep(1)
        assert server.put(f"/images/{image_id}", OCTETS, b"bytes").status == 200
        assert {status(one.result(10)) for one in asked} == {"active"}


def test_the_end_of_the_service_answers_waiters(start_server: StartServer, pool) -> None:
    server = start_server()
    image_id = server.reserve()["id"]
    asked = ask(pool, server, f"{V2}/{image_id}?wait=active&timeout=60")
    ended = threading.Thread(target=server.stop)
    ended.start()
    answer = asked.result(15)
    ended.join()
    assert (answer.status, status(answer)) == (200, "queued")


def test_a_waiter_of_another_server_holds_its_thread(start_server: StartServer, monkeypatch) -> None:
    (port,) = free_ports(1)
    monkeypatch.setattr("tests.support.server.free_ports", lambda count: [port])  # it expands no variables
    waitress = {
        "use": "egg:waitress#main",
        "listen": f"127.0.0.1:{port}",
        "clear_untrusted_proxy_headers": "false",
        "underscore_headers": "",
        "threads": "6",
    }
    server = start_server({"calotype.listener_threads": "1"}, waitress)
    image_id = server.post("/images", meta(name="n")).image["id"]
    with ThreadPoolExecutor(2) as pool:
        asked = ask(pool, server, f"{V2}/{image_id}?wait=active&timeout=30")
        assert server.get(f"{V2}/{image_id}?wait=active&timeout=30").status == 503
        assert server.put(f"/images/{image_id}", OCTETS, b"bytes").status == 200
        assert status(asked.result(10)) == "active"
        assert server.delete(f"/images/{image_id}").status == 200
