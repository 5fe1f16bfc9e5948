"""GET /events: listeners hear what happens to the images that they may see, and can resume."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import StartServer
from tests.functional.test_processes import pids
from tests.support.callers import Tokens
from tests.support.events import Listener
from tests.support.server import OCTETS, Server, write_ini
from tests.support.v2 import NOBODY, People, Person
from tests.support.waiting import wait_for

#: Seconds in which an event must reach a listener.
STALENESS = 2.0


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Iterator[People]:
    """A server whose callers have tokens."""
    folder = tmp_path_factory.mktemp("events")
    who = {"u1": ("P1", "member"), "u2": ("P2", "member"), "r1": ("P1", "reader"), "adm": ("P0", "admin")}
    tokens = Tokens(folder)
    given = {name: tokens.add(name, project, (role,)) for name, (project, role) in who.items()}
    limits = {"calotype.listeners_per_caller": "4", "calotype.listeners": "8"}
    server = Server(folder, write_ini(folder, {**tokens.settings, **limits}))
    yield People(server, **{name: Person(server, who[name][0], token) for name, token in given.items()})
    server.stop()


def listen(person: Person, **headers: str) -> Listener:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Listener(person.server, {"X-Auth-Token": person.token, **named})


def test_a_listener_hears_an_image_from_its_creation_to_its_deletion(people: People) -> None:
    with listen(people.u1) as listener:
        image_id = people.u1.make(name="n")
        people.u1.put(image_id, b"bytes")
        people.u1.patch(image_id, {"op": "replace", "path": "/name", "value": "m"})
        people.u1.delete(f"/images/{image_id}")
        deleted = listener.hear(image_id, "deleted")
        assert listener.kinds(image_id) == ["created", "changed", "activated", "changed", "deleted"]
        statuses = [one.data["status"] for one in listener.heard if one.data["image"] == image_id]
        assert statuses == ["queued", "saving", "active", "active", "deleted"]
        ids = [one.data["id"] for one in listener.heard]
        assert len(set(ids)) == len(ids)
        assert deleted.last_id.isdigit()
    assert listener.response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert listener.response.headers["Cache-Control"] == "no-store"
    assert listener.response.headers["X-Accel-Buffering"] == "no"


def test_a_failed_upload_is_heard_with_its_reason(people: People) -> None:
    with listen(people.u1) as listener:
        image_id = people.u1.make(disk_format="qcow2")
        assert people.u1.put(image_id, b"no qcow2 at all").status == 415
        failed = listener.hear(image_id, "failed")
        assert failed.data["status"] == "queued"
        assert "qcow2" in failed.data["reason"]


def test_an_event_arrives_in_less_than_two_seconds(people: People) -> None:
    """The median, because the machine that runs the tests may be busy for a moment."""
    with listen(people.u1) as listener:
        delays = []
        for _ in range(5):
            image_id = people.u1.make()
            made = time.monotonic()
            delays.append(listener.hear(image_id, "created").at - made)
        assert statistics.median(delays) < STALENESS


def test_a_listener_hears_only_of_images_that_it_may_see_at_the_moment(people: People) -> None:
    with listen(people.u1) as owner, listen(people.u2) as other, listen(people.adm) as admin:
        image_id = people.u1.active(visibility="shared")
        owner.hear(image_id, "activated")
        admin.hear(image_id, "activated")
        assert people.u1.send("POST", f"/images/{image_id}/members", {"member": "P2"}).status == 200
        other.hear(image_id, "shared")
        people.u1.patch(image_id, {"op": "replace", "path": "/name", "value": "seen"})
        other.hear(image_id, "changed")
        people.u1.delete(f"/images/{image_id}/members/P2")
        people.u1.patch(image_id, {"op": "replace", "path": "/name", "value": "hidden"})
        people.u1.delete(f"/images/{image_id}")
        owner.hear(image_id, "deleted")
        public = people.adm.active(visibility="public")
        other.hear(public, "activated")  # so it has heard everything before
        assert other.kinds(image_id) == ["shared", "changed"]


def test_a_resumed_listener_hears_what_it_has_missed_if_it_may_see_it_now(people: People) -> None:
    with listen(people.u2) as first:
        pass
    hidden = people.u1.active()
    seen = people.u2.active()
    with listen(people.u2, Last_Event_ID=first.last_id) as second:
        second.hear(seen, "activated")
        assert second.kinds(seen) == ["created", "changed", "activated"]
        later = people.u2.make()
        second.hear(later, "created")
        assert second.kinds(hidden) == []
    with listen(people.u2, Last_Event_ID=second.last_id) as third:
        again = people.u2.make()
        third.hear(again, "created")
        assert third.kinds() == ["created"]


def test_a_listener_that_was_away_for_too_long_is_told_so(people: People) -> None:
    people.u1.make()
    with listen(people.u1, Last_Event_ID="999999999999") as listener:
        listener.wait(lambda: "missed" in listener.kinds())


def test_a_listener_of_one_image_hears_nothing_else(people: People) -> None:
    image_id = people.u1.make()
    with Listener(people.server, {"X-Auth-Token": people.u1.token}, f"?image={image_id}") as listener:
        people.u1.make()
        people.u1.put(image_id, b"bytes")
        listener.hear(image_id, "activated")
        assert listener.kinds() == ["changed", "activated"]


def test_a_client_that_leaves_frees_its_place(people: People) -> None:
    for _ in range(3):
        with contextlib.ExitStack() as stack:
            for _ in range(4):
                stack.enter_context(listen(people.u1))
            refused = people.u1.request_as("GET", "/events")
            assert (refused.status, refused.headers["Content-Type"]) == (429, "text/plain; charset=utf-8")
            stack.enter_context(listen(people.u2))
        wait_for(lambda: people.u1.request_as("HEAD", "/events").status == 200)
        wait_for(lambda: can_listen(people.u1))


def can_listen(person: Person) -> bool:
    with contextlib.suppress(AssertionError), listen(person):
        return True
    return False


def test_more_listeners_than_a_process_may_have_get_503(people: People) -> None:
    with contextlib.ExitStack() as stack:
        for person in (people.u1, people.u2):
            for _ in range(4):
                wait_for(lambda person=person: stack.enter_context(listen(person)) is not None)
        refused = people.adm.request_as("GET", "/events")
        assert refused.status == 503
        assert refused.headers["Retry-After"] == "10"
    wait_for(lambda: can_listen(people.adm))


@pytest.mark.parametrize(
    ("query", "headers", "sentence"),
    [
        ("", {"Last-Event-ID": "abc"}, "Invalid Last-Event-ID"),
        ("", {"Last-Event-ID": "9" * 30}, "Invalid Last-Event-ID"),
        ("?image=x", {}, "Invalid image"),
    ],
)
def test_bad_input_gets_400(people: People, query: str, headers: dict[str, str], sentence: str) -> None:
    refused = people.u1.request_as("GET", f"/events{query}", headers)
    assert refused.status == 400
    assert sentence in refused.text


def test_without_a_token_there_are_no_events(people: People) -> None:
    assert people.server.get("/events").status == 401


def test_a_revoked_token_ends_its_stream_at_the_next_heartbeat(start_server: StartServer, tmp_path: Path):
    tokens = Tokens(tmp_path)
    token = tokens.add("u1", "P1", ("member",))
    server = start_server({**tokens.settings, "calotype.confirm_after": "0"})
    with Listener(server, {"X-Auth-Token": token}) as listener:
        tokens.revoke(tokens.entries()[0].id)
        assert listener.ended.wait(25)


def test_every_process_hears_the_events_of_the_others(start_server: StartServer) -> None:
    server = start_server({"calotype.listeners_per_caller": "8"}, {"processes": "2"})
    pids(server)
    with contextlib.ExitStack() as stack:
        listeners = [stack.enter_context(Listener(server)) for _ in range(6)]
        for _ in range(4):
            image = server.upload(b"bytes", is_public="True")
            for listener in listeners:
                listener.hear(image["id"], "activated")


def test_a_listener_resumes_after_its_process_was_killed(start_server: StartServer) -> None:
    server = start_server(server={"processes": "2"})
    found = pids(server)
    with Listener(server) as listener:
        before = server.upload(b"bytes", is_public="True")["id"]
        listener.hear(before, "activated")
        for pid in found:
            os.kill(pid, signal.SIGKILL)
        assert listener.ended.wait(10)

    def upload() -> str:
        with contextlib.suppress(OSError, http.client.HTTPException):
            return server.upload(b"more", is_public="True")["id"]
        return ""

    after = wait_for(upload)
    with Listener(server, {"Last-Event-ID": listener.last_id}) as second:
        second.hear(after, "activated")
        assert "activated" not in second.kinds(before)


def test_the_end_of_the_service_ends_streams_without_waiting(start_server: StartServer) -> None:
    server = start_server()
    with Listener(server) as listener:
        began = time.monotonic()
        assert server.stop() == 0
        assert listener.ended.wait(5)
        assert time.monotonic() - began < 25  # `drain_timeout` is 30


def test_a_listener_that_resumes_and_does_not_read_takes_no_worker(start_server: StartServer) -> None:
    server = start_server(server={"outbuf_high_watermark": "65536"})
    server.upload(b"bytes")
    for _ in range(14):  # some tens of thousands of events, more than the kernel buffers
        server.execute(
            "INSERT INTO events (id, kind, image_id, status, created_at) "
            "SELECT id, kind, image_id, status, created_at FROM events"
        )
    threads = Path(f"/proc/{server.process.pid}/task")
    before = len(list(threads.iterdir()))
    with contextlib.ExitStack() as stack:
        for _ in range(10):
            connection = stack.enter_context(socket.socket())
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.connect(("127.0.0.1", server.port))
            connection.sendall(b"GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\nLast-Event-ID: 0\r\n\r\n")
        time.sleep(5)
        # While a listener's page is read, another worker stands in. A blocked response would need one more.
        assert len(list(threads.iterdir())) <= before + 10


def test_events_are_removed_after_their_retention(start_server: StartServer) -> None:
    server = start_server({"calotype.event_retention": "60", "calotype.sweep_interval": "1"})
    server.upload(b"bytes")
    server.execute("UPDATE events SET created_at = '2020-01-01 00:00:00.000000'")
    wait_for(lambda: server.query("SELECT count(*) FROM events") == [(1,)])
    with Listener(server, {"Last-Event-ID": "0"}) as listener:
        listener.wait(lambda: "missed" in listener.kinds())


def test_head_answers_without_a_stream(people: People) -> None:
    answer = people.u1.request_as("HEAD", "/events")
    assert (answer.status, answer.body) == (200, b"")


def test_an_event_of_an_image_that_nobody_knows_is_not_sent(people: People) -> None:
    with listen(people.adm) as listener:
        people.server.execute(
            "INSERT INTO events (id, kind, image_id, status, created_at) "
            "VALUES ('x', 'changed', ?, 'active', '2026-01-01 00:00:00.000000')",
            NOBODY,
        )
        image_id = people.adm.make()
        listener.hear(image_id, "created")
        assert listener.kinds(NOBODY) == []


def test_other_servers_hold_a_thread_for_each_listener(start_server: StartServer, monkeypatch) -> None:
    from tests.servers.common import free_ports

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
    with Listener(server) as listener:
        image = server.post("/images", OCTETS, b"bytes").image
        listener.hear(image["id"], "activated")
        assert server.get("/events").status == 503
