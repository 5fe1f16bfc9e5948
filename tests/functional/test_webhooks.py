"""Webhooks: signed CloudEvents reach their receivers at least once, and in order for each image."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.conftest import StartServer
from tests.functional.test_processes import pids
from tests.support.forked import run_manage
from tests.support.server import Server
from tests.support.waiting import wait_for

KEY = b"0123456789abcdef0123456789abcdef"
SECRET = f"whsec_{base64.b64encode(KEY).decode()}"


@dataclass(frozen=True)
class Received:
    headers: Mapping[str, str]
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        return json.loads(self.body)

    @property
    def kind(self) -> str:
        return self.event["type"].removeprefix("calotype.image.")


class Receiver(ThreadingHTTPServer):
    """A receiver of webhooks, which answers with the given statuses, and then with 204."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.received: list[Received] = []
        self.accepted: list[Received] = []
        self.statuses: list[int] = []
        #: While this is not set, the receiver does not answer.
        self.goes_on = threading.Event()
        self.goes_on.set()
        #: Image -> the status for its events.
        self.refused: dict[str, int] = {}
        threading.Thread(target=self.serve_forever, args=[0.01], daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/hook?token=canary-query-91"

    def kinds(self, image_id: str) -> list[str]:
        return [one.kind for one in self.accepted if one.event["subject"] == image_id]


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        receiver: Receiver = self.server  # type: ignore[assignment]
        body = self.rfile.read(int(self.headers["Content-Length"]))
        got = Received({name.lower(): value for name, value in self.headers.items()}, body)
        receiver.received.append(got)
        receiver.goes_on.wait(30)
        status = receiver.refused.get(got.event["subject"]) or (
            receiver.statuses.pop(0) if receiver.statuses else 204
        )
        if status < 300:
            receiver.accepted.append(got)
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        with contextlib.suppress(OSError):  # the sender was killed
            self.end_headers()

    def log_message(self, *arguments: object) -> None:
        """Print nothing."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    running = Receiver()
    yield running
    running.shutdown()
    running.server_close()


def hook(receiver: Receiver, **options: str) -> dict[str, str]:
    given = {"url": receiver.url, "secret": SECRET, "allowed_networks": "127.0.0.0/8", **options}
    return {f"webhook.test.{name}": value for name, value in given.items()}


def states(server: Server) -> dict[str, dict[str, Any]]:
    done = run_manage(["webhooks", server.ini, *server.variables])
    assert done.returncode == 0, done.stderr
    return {one["name"]: one for one in map(json.loads, done.stdout.splitlines())}


def test_a_receiver_gets_signed_cloud_events_in_order(start_server: StartServer, receiver: Receiver) -> None:
    server = start_server(hook(receiver))
    image_id = server.reserve(name="n")["id"]
    assert server.put(f"/images/{image_id}", {"Content-Type": "application/octet-stream"}, b"x").status == 200
    server.delete(f"/images/{image_id}")
    wait_for(lambda: receiver.kinds(image_id) == ["created", "changed", "activated", "deleted"])
    first = receiver.accepted[0]
    event = first.event
    assert first.headers["content-type"] == "application/cloudevents+json; charset=UTF-8"
    assert (event["specversion"], event["type"]) == ("1.0", "calotype.image.created")
    assert event["id"] == first.headers["webhook-id"] == event["data"]["id"]
    assert event["source"] == f"urn:uuid:{server.query('SELECT id FROM registry_identity')[0][0]}"
    assert event["data"]["status"] == "queued"
    for one in receiver.received:
        signed = f"{one.headers['webhook-id']}.{one.headers['webhook-timestamp']}.".encode() + one.body
        expected = base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
        assert one.headers["webhook-signature"] == f"v1,{expected}"
        assert abs(int(one.headers["webhook-timestamp"]) - time.time()) < 60
    assert len({one.event["id"] for one in receiver.accepted}) == 4
    state = wait_for(lambda: states(server)["test"], lambda one: one["waiting"] == 0)
    assert (state["configured"], state["last_error"]) == (True, None)
    assert state["delivered_at"]
    assert SECRET not in server.log


def test_a_receiver_that_fails_twice_gets_the_event_again(start_server: StartServer, receiver: Receiver):
    receiver.statuses = [500, 503]
    server = start_server(hook(receiver))
    image_id = server.reserve()["id"]
    wait_for(lambda: receiver.kinds(image_id) == ["created"], seconds=15)
    assert len({one.event["id"] for one in receiver.received}) == 1
    assert len(receiver.received) == 3
    state = wait_for(lambda: states(server)["test"], lambda one: one["waiting"] == 0)
    assert state["last_error"] == "the receiver answers 503"


def test_an_image_whose_event_is_refused_waits_and_others_do_not(
    start_server: StartServer, receiver: Receiver
) -> None:
    server = start_server(hook(receiver))
    stuck = server.reserve()["id"]
    wait_for(lambda: receiver.kinds(stuck) == ["created"])
    receiver.refused[stuck] = 400
    server.put(f"/images/{stuck}", {"x-image-meta-name": "n"})
    server.delete(f"/images/{stuck}")
    other = server.reserve()["id"]
    wait_for(lambda: receiver.kinds(other) == ["created"])
    assert receiver.kinds(stuck) == ["created"]
    assert states(server)["test"]["waiting"] == 2
    del receiver.refused[stuck]
    wait_for(lambda: receiver.kinds(stuck) == ["created", "changed", "deleted"], seconds=20)


def test_events_wait_for_a_receiver_that_is_away_and_for_a_restart(
    start_server: StartServer, receiver: Receiver
) -> None:
    receiver.server_close()
    server = start_server(hook(receiver))
    image_id = server.reserve()["id"]
    state = wait_for(lambda: states(server)["test"], lambda one: one["last_error"])
    assert state["last_error"] == "the receiver refuses the connection"
    assert state["waiting"] == 1
    server.kill()
    again = ThreadingHTTPServer(receiver.server_address, _Handler)
    again.received, again.accepted, again.statuses, again.refused = [], [], [], {}  # type: ignore
    again.goes_on = receiver.goes_on  # type: ignore[attr-defined]
    threading.Thread(target=again.serve_forever, args=[0.01], daemon=True).start()
    server.start()
    wait_for(lambda: [one.event["subject"] for one in again.accepted] == [image_id], seconds=90)
    again.shutdown()
    again.server_close()


def test_two_processes_deliver_each_event_once(start_server: StartServer, receiver: Receiver) -> None:
    server = start_server(hook(receiver), {"processes": "2"})
    pids(server)
    made = [server.reserve()["id"] for _ in range(20)]
    wait_for(lambda: len(receiver.accepted) >= 20, seconds=20)
    time.sleep(1)
    assert sorted(one.event["subject"] for one in receiver.received) == sorted(made)


def test_a_process_that_dies_while_it_delivers_is_replaced(
    start_server: StartServer, receiver: Receiver
) -> None:
    receiver.goes_on.clear()
    server = start_server({**hook(receiver), "calotype.lease": "2"})
    image_id = server.reserve()["id"]
    wait_for(lambda: receiver.received)
    assert server.query("SELECT count(*) FROM webhooks WHERE lease_owner IS NOT NULL") == [(1,)]
    server.kill()
    receiver.statuses = [500]  # of the delivery that was cut off
    receiver.goes_on.set()
    server.start()
    wait_for(lambda: receiver.kinds(image_id) == ["created"], seconds=20)


def test_a_webhook_gets_only_the_kinds_that_it_names(start_server: StartServer, receiver: Receiver) -> None:
    server = start_server(hook(receiver, events="activated deleted"))
    image_id = server.upload(b"bytes")["id"]
    server.delete(f"/images/{image_id}")
    wait_for(lambda: receiver.kinds(image_id) == ["activated", "deleted"])


def test_a_redirect_is_not_followed(start_server: StartServer, receiver: Receiver) -> None:
    receiver.statuses = [302]
    server = start_server(hook(receiver))
    image_id = server.reserve()["id"]
    wait_for(lambda: receiver.kinds(image_id) == ["created"])
    assert len(receiver.received) == 2


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"allowed_networks": ""}, "webhook 'test': option url: its address is not public"),
        ({"url": "ftp://x.example/"}, "webhook 'test': option url: its URL must be http or https"),
        ({"secret": "short"}, "webhook 'test': option secret: must have at least 24 characters"),
        ({"secret": "whsec_this is not base64!!"}, "webhook 'test': option secret: must be base64"),
        ({"events": "created born"}, "webhook 'test': option events: must be 'created', 'activated'"),
        ({"urll": "x"}, "webhook 'test': unknown option urll"),
    ],
)
def test_a_mistake_stops_the_start_with_one_sentence(
    start_server: StartServer, receiver: Receiver, options: dict[str, str], sentence: str
) -> None:
    from tests.support.server import StartFailed

    with pytest.raises(StartFailed) as failed:
        start_server(hook(receiver, **options))
    assert sentence in str(failed.value)
    assert "Traceback" not in str(failed.value)
    assert options.get("secret", SECRET) not in str(failed.value)
