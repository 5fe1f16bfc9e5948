"""Downloads through a worker are limited, so that other requests find one."""

from __future__ import annotations

import contextlib
import http.client
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler

import pytest

from tests.support.server import Server, meta, write_ini
from tests.support.web import Web, reply

BYTES = bytes(range(256)) * 4096
WORKERS, MOST = 2, 6


class Halting:
    """A page that sends no bytes while `flows` is cleared, and only half of them if it is `broken`.

    `halted` is released for each request that waits for them.
    """

    def __init__(self) -> None:
        self.flows = threading.Event()
        self.halted = threading.Semaphore(0)
        self.broken = False
        self.flows.set()

    def __call__(self, handler: BaseHTTPRequestHandler) -> None:
        reply(Content_Length=str(len(BYTES)))(handler)
        if not self.flows.is_set():
            self.halted.release()
            self.flows.wait()
        handler.wfile.write(BYTES[: len(BYTES) // 2] if self.broken else BYTES)


@pytest.fixture
def source() -> Halting:
    return Halting()


@pytest.fixture
def web(source: Halting) -> Iterator[Web]:
    with Web({"/disk": source}) as running:
        yield running
        source.flows.set()


@pytest.fixture
def server(web: Web, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("remote")
    settings = {
        "store.http.max_downloads": str(MOST),
        "store.http.allowed_networks": "127.0.0.1/32",
        "store.http.ports": str(web.port),
        "store.http.retries": "0",
    }
    running = Server(folder, write_ini(folder, settings, {"threads": str(WORKERS), "upload_threads": "1"}))
    yield running
    running.stop()


@contextlib.contextmanager
def halted(server: Server, source: Halting, path: str) -> Iterator[list[http.client.HTTPConnection]]:
    """Yield the maximum number of downloads, all waiting for the source."""
    with contextlib.ExitStack() as stack:
        readers = [stack.enter_context(contextlib.closing(server.connect())) for _ in range(MOST)]
        for reader in readers:
            reader.request("GET", path)
        for _ in readers:
            assert source.halted.acquire(timeout=20), "a download found no worker"
        yield readers


def test_a_stalled_store_blocks_a_limited_number_of_downloads_and_nobody_else(
    server: Server, web: Web, source: Halting
) -> None:
    far = server.post("/images", meta(location=web.url("/disk"))).image["id"]
    near = server.upload(BYTES)["id"]
    path = f"/images/{far}"
    source.flows.clear()
    with halted(server, source, path) as readers:
        refused = server.get(path)
        looked = server.head(path)
        local = server.get(f"/images/{near}")
        source.flows.set()
        bodies = [reader.getresponse().read() for reader in readers]

    assert refused.status == 503
    assert int(refused.headers["Retry-After"]) > 0
    assert "store 'http'" in refused.text
    assert looked.status == 200
    assert (local.status, local.body) == (200, BYTES)
    assert bodies == [BYTES] * MOST
    assert server.get(path).body == BYTES  # all slots are free again


def test_interrupted_and_failed_downloads_free_their_connections_to_the_store(
    server: Server, web: Web, source: Halting
) -> None:
    path = f"/images/{server.post('/images', meta(location=web.url('/disk'))).image['id']}"
    source.flows.clear()
    with halted(server, source, path):
        pass  # all of these clients disconnect
    source.flows.set()
    assert server.get(path).body == BYTES
    source.broken = True
    for _ in range(MOST + 1):
        with pytest.raises(http.client.IncompleteRead):
            server.get(path)
    source.broken = False
    assert server.get(path).body == BYTES
