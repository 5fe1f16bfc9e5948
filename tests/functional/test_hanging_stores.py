"""Hanging stores: their own requests get 503, and no others are affected."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import StartServer
from tests.support.answers import Answer
from tests.support.distributions import HANGING, on_path, write_distribution
from tests.support.server import OCTETS, Server, meta, write_ini

JSON = {"Content-Type": "application/json"}
BYTES = b"bytes of an image" * 100
#: The number of requests that once stopped the server.
CROWD = 26
#: Seconds within which requests to other stores get a response, on a busy machine.
PROMPT = 5.0
#: The deadlines of the hanging store, in seconds.
DEADLINES = {
    "store.slow.call_timeout": "2",
    "store.slow.stall_timeout": "2",
    "store.http.call_timeout": "2",
    "calotype.probe_interval": "0.1",
    "calotype.probe_timeout": "0.5",
}


class Gates:
    """The methods in which the store `slow` hangs, and a real web server that never responds."""

    def __init__(self, server: Server, folder: Path, silent: str):
        self.server = server
        self.silent = silent
        self._folder = folder

    @contextlib.contextmanager
    def closed(self, method: str) -> Iterator[None]:
        """Let the store hang in this method during the block."""
        gate = self._folder / f"hang-{method}"
        gate.touch()
        try:
            yield
        finally:
            gate.unlink()

    def inside(self, method: str) -> int:
        """Return the number of calls that hang in this method."""
        told = self._folder / f"in-{method}"
        return told.stat().st_size if told.exists() else 0


def settings(folder: Path) -> dict[str, str]:
    """Return settings with a file store, and with a store that hangs on command."""
    return {
        "calotype.stores": "file slow http",
        "store.slow.driver": "hanging",
        "store.slow.gates": str(folder),
        "store.slow.create": "true",
        **DEADLINES,
    }


def install(folder: Path) -> dict[str, str]:
    """Install the driver, and return the environment variables to find it."""
    plugin = write_distribution(
        folder / "plugin", "test-hanging", {"hanging": "hanging_driver:Hanging"}, HANGING
    )
    return on_path(plugin)


@pytest.fixture(scope="module")
def gates(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gates]:
    folder = tmp_path_factory.mktemp("hanging")
    with socket.create_server(("127.0.0.1", 0), backlog=100) as silent:
        port = silent.getsockname()[1]
        fetching = {"store.http.allowed_networks": "127.0.0.1/32", "store.http.ports": str(port)}
        running = Server(folder, write_ini(folder, {**settings(folder), **fetching}), env=install(folder))
        yield Gates(running, folder, f"http://127.0.0.1:{port}/")
        running.stop()


def eventually(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@contextlib.contextmanager
def crowd(send: Callable[[], Answer], count: int = CROWD) -> Iterator[list[Answer]]:
    """Send `count` requests at once, and collect the responses at the end of the block."""
    answers: list[Answer] = []
    threads = [threading.Thread(target=lambda: answers.append(send())) for _ in range(count)]
    for thread in threads:
        thread.start()
    yield answers
    for thread in threads:
        thread.join()


def assert_prompt(server: Server, image_id: str) -> None:
    """Check that requests for another store, or none, are answered as usual."""
    began = time.monotonic()
    for _ in range(5):
        assert server.head(f"/images/{image_id}").status == 200
        assert server.get(f"/images/{image_id}").body == BYTES
        made = server.upload(BYTES)
        assert made["store"] == "file"
        assert server.delete(f"/images/{made['id']}").status == 200
        assert server.get("/readyz").status == 200
    assert time.monotonic() - began < PROMPT


def assert_told(answers: list[Answer], count: int = CROWD, store: str = "slow") -> None:
    """Check that each response is 503, with the store's name and Retry-After."""
    assert len(answers) == count
    for answer in answers:
        assert answer.status == 503, answer.text
        assert f"store '{store}'" in answer.text
        assert int(answer.headers["Retry-After"]) > 0


def upload_to(server: Server, store: str, body: bytes = BYTES) -> Answer:
    return server.post("/images", {**OCTETS, **meta(store=store)}, body)


def test_readyz_reports_the_last_result_of_a_probe_while_the_store_hangs(gates: Gates) -> None:
    """r1-D3: 26 requests run at once, and the check() of a store hangs."""
    server = gates.server
    image_id = server.upload(BYTES)["id"]
    eventually(lambda: server.get("/readyz").json["stores"]["slow"] == "ok")
    with gates.closed("check"):
        eventually(lambda: server.get("/readyz").json["stores"]["slow"] == "unavailable")
        began = time.monotonic()
        with crowd(lambda: server.get("/readyz")) as answers:
            assert_prompt(server, image_id)
        assert time.monotonic() - began < PROMPT
        assert {answer.status for answer in answers} == {200}
        assert gates.inside("check") == 1, "one probe hangs, and no request asked"
    eventually(lambda: server.get("/readyz").json["stores"]["slow"] == "ok")


@pytest.mark.parametrize(("size", "count"), [(len(BYTES), CROWD), (1 << 20, 10)], ids=["small", "streamed"])
def test_uploads_to_a_hanging_store_get_503_and_others_succeed(gates: Gates, size: int, count: int) -> None:
    """r1-D3: the add() of a store hangs, even while its uploads occupy all upload slots."""
    server = gates.server
    image_id = server.upload(BYTES)["id"]
    before = len(server.query("SELECT id FROM images WHERE status = 'active'"))
    with gates.closed("add"):
        with crowd(lambda: upload_to(server, "slow", bytes(size)), count) as answers:
            eventually(lambda: gates.inside("add") > 0)
            assert_prompt(server, image_id)
        assert_told(answers, count)
    eventually(lambda: upload_to(server, "slow").status == 200)
    assert len(server.query("SELECT id FROM images WHERE status = 'active'")) == before + 1


def test_downloads_from_a_hanging_store_get_503_and_others_succeed(gates: Gates) -> None:
    """r1-D3: first the readers of a store hang, and then its get()."""
    server = gates.server
    near, far = server.upload(BYTES)["id"], upload_to(server, "slow").image["id"]
    with contextlib.ExitStack() as stack:
        stack.enter_context(gates.closed("read"))
        readers = [stack.enter_context(contextlib.closing(server.connect())) for _ in range(CROWD)]
        for reader in readers:
            reader.request("GET", f"/images/{far}")
        eventually(lambda: gates.inside("read") == CROWD)
        stack.enter_context(gates.closed("get"))
        with crowd(lambda: server.get(f"/images/{far}")) as answers:
            assert_prompt(server, near)
        assert_told(answers)
        for reader in readers:  # their heads were sent by then, but no bytes
            with contextlib.suppress(http.client.IncompleteRead, ConnectionError):
                assert BYTES not in reader.getresponse().read()
    eventually(lambda: server.get(f"/images/{far}").body == BYTES)


def test_slow_clients_of_a_healthy_store_make_it_busy_and_not_unavailable(
    start_server: StartServer, tmp_path: Path
) -> None:
    few = {**settings(tmp_path), "store.slow.max_downloads": "2"}
    server = start_server(few, env=install(tmp_path))
    far = upload_to(server, "slow", bytes(64 << 20)).image["id"]
    reason = "it is busy: all 2 of its slots for downloads (max_downloads) are in use; try again later"
    with contextlib.ExitStack() as stack:
        for _ in range(2):
            slow = stack.enter_context(contextlib.closing(server.connect()))
            slow.request("GET", f"/images/{far}")
            slow.getresponse()
        server.readyz(lambda answer: answer.json["stores"]["slow"] == "busy")
        refused = server.get(f"/images/{far}")

    assert_told([refused], 1)
    assert reason in refused.text
    assert f"store 'slow' is busy: store 'slow': {reason}" in server.log
    server.readyz(lambda answer: answer.json["stores"]["slow"] == "ok")
    assert server.head(f"/images/{far}").status == 200


def test_deletes_in_a_hanging_store_succeed_and_leave_the_bytes_to_a_sweep(gates: Gates) -> None:
    """r1-D3: the record is deleted at once, and the bytes when the store is available again."""
    server = gates.server
    near = server.upload(BYTES)["id"]
    ids = [upload_to(server, "slow").image["id"] for _ in range(4)]
    answers: list[Answer] = []
    with gates.closed("delete"):
        threads = [
            threading.Thread(target=lambda one=one: answers.append(server.delete(f"/images/{one}")))
            for one in ids
        ]
        for thread in threads:
            thread.start()
        eventually(lambda: gates.inside("delete") == 4)
        assert_prompt(server, near)
        assert {server.head(f"/images/{one}").status for one in ids} == {404}
        for thread in threads:
            thread.join()
    assert [answer.status for answer in answers] == [200] * 4


def test_a_location_with_a_silent_source_gets_503_and_others_succeed(gates: Gates) -> None:
    """r1-D3: registering has the store's deadline, because it is part of the request."""
    server = gates.server
    near = server.upload(BYTES)["id"]
    with crowd(lambda: server.post("/images", meta(location=gates.silent))) as answers:
        assert_prompt(server, near)
    assert_told(answers, store="http")


def web_download(server: Server, uri: str) -> Answer:
    image = server.post("/v2/images", JSON, b'{"disk_format": "raw", "container_format": "bare"}').json
    body = json.dumps({"method": {"name": "web-download", "uri": uri}}).encode()
    return server.post(f"/v2/images/{image['id']}/import", JSON, body)


def import_task(server: Server, uri: str) -> Answer:
    properties = {"disk_format": "raw", "container_format": "bare"}
    asked = {"import_from": uri, "import_from_format": "raw", "image_properties": properties}
    return server.post("/v2/tasks", JSON, json.dumps({"type": "import", "input": asked}).encode())


def copy_from(server: Server, uri: str) -> Answer:
    formats = meta(disk_format="raw", container_format="bare")
    return server.post("/v1/images", {"x-glance-api-copy-from": uri, **formats})


@pytest.mark.parametrize("order", [web_download, import_task, copy_from])
def test_an_import_is_accepted_before_its_source_is_contacted(
    gates: Gates, order: Callable[[Server, str], Answer]
) -> None:
    """r1-D5: a URL that is forbidden by itself is refused at once, without a DNS query."""
    server = gates.server
    near = server.upload(BYTES)["id"]
    began = time.monotonic()
    with crowd(lambda: order(server, gates.silent)) as answers:
        assert_prompt(server, near)
    assert time.monotonic() - began < PROMPT
    assert {answer.status for answer in answers} <= {201, 202}
    # Names that cannot be resolved here, and addresses. Only the job checks the names.
    port = gates.silent.rpartition(":")[2]
    assert order(server, f"http://nowhere.invalid:{port}").status in (201, 202)
    for refused in (f"http://127.0.0.2:{port}", "http://127.0.0.1:1/", "https://127.0.0.1", "ftp://x/", "x"):
        assert order(server, refused).status == 400


@pytest.mark.campaign
def test_a_silent_s3_endpoint_stops_neither_the_start_nor_other_requests(
    gates: Gates, start_server: StartServer
) -> None:
    """r1-D3: boto3 has long timeouts, and the start calls each store."""
    endpoint = gates.silent.rstrip("/")
    server = start_server(
        {
            "calotype.stores": "file slow",
            "store.slow.driver": "s3",
            "store.slow.bucket": "images",
            "store.slow.endpoint_url": endpoint,
            "store.slow.access_key": "key",
            "store.slow.secret_key": "secret",
            "store.slow.call_timeout": "3",
        }
    )
    near = server.upload(BYTES)["id"]
    server.readyz(lambda told: told.json["stores"] == {"file": "ok", "slow": "unavailable"})
    with crowd(lambda: upload_to(server, "slow")) as answers:
        assert_prompt(server, near)
    assert_told(answers)


@pytest.mark.campaign
def test_a_hanging_store_does_not_prevent_the_process_from_stopping(
    start_server: StartServer, tmp_path: Path
) -> None:
    """r1-D3: SIGTERM stops it within `drain_timeout` and a short time for closing."""
    deadlines = {"store.slow.call_timeout": "60", "store.slow.stall_timeout": "60"}
    server = start_server({**settings(tmp_path), **deadlines}, {"drain_timeout": "1"}, env=install(tmp_path))
    gates = Gates(server, tmp_path, "")
    far = upload_to(server, "slow").image["id"]
    with contextlib.ExitStack() as stack:
        for method in ("check", "add", "get", "close"):
            stack.enter_context(gates.closed(method))
        uploader, reader = (stack.enter_context(contextlib.closing(server.connect())) for _ in range(2))
        uploader.request("POST", "/images", BYTES, {**OCTETS, **meta(store="slow")})
        reader.request("GET", f"/images/{far}")
        eventually(lambda: all(gates.inside(method) for method in ("check", "add", "get")))
        began = time.monotonic()
        server.stop()
        assert time.monotonic() - began < 25
