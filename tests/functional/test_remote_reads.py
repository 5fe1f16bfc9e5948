"""Downloads that pass through a worker: they are bounded, and everybody else still finds one."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import threading
from collections.abc import Iterator

import pytest

from tests.support.server import Server, meta, write_ini

BYTES = bytes(range(256)) * 4096
WORKERS, MOST = 2, 6


class Halting(http.server.ThreadingHTTPServer):
    """A web server with one file, of whose bytes nothing comes while `flows` is cleared.

    `halted` is released for each request that waits for them.
    """

    def __init__(self) -> None:
        self.flows = flows = threading.Event()
        self.halted = halted = threading.Semaphore(0)
        flows.set()

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Length", str(len(BYTES)))
                self.end_headers()
                if not flows.is_set():
                    halted.release()
                    flows.wait()
                with contextlib.suppress(ConnectionError):
                    self.wfile.write(BYTES)

            def log_message(self, *_: object) -> None:
                """Nothing."""

        super().__init__(("127.0.0.1", 0), Handler)


@pytest.fixture
def source() -> Iterator[Halting]:
    with Halting() as web:
        thread = threading.Thread(target=web.serve_forever)
        thread.start()
        yield web
        web.flows.set()
        web.shutdown()
        thread.join()


@pytest.fixture
def server(source: Halting, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("remote")
    settings = {
        "store.http.max_downloads": str(MOST),
        "store.http.allowed_networks": "127.0.0.1/32",
        "store.http.ports": str(source.server_port),
        "store.http.retries": "0",
    }
    running = Server(folder, write_ini(folder, settings, {"threads": str(WORKERS), "upload_threads": "1"}))
    yield running
    running.stop()


@contextlib.contextmanager
def halted(server: Server, source: Halting, path: str) -> Iterator[list[http.client.HTTPConnection]]:
    """As many downloads as there may be, all of them waiting for the source."""
    with contextlib.ExitStack() as stack:
        readers = [stack.enter_context(contextlib.closing(server.connect())) for _ in range(MOST)]
        for reader in readers:
            reader.request("GET", path)
        for _ in readers:
            assert source.halted.acquire(timeout=20), "a download found no worker"
        yield readers


def test_a_store_that_stops_takes_no_worker_from_others_and_a_bounded_number_at_all(
    server: Server, source: Halting
) -> None:
    url = f"http://127.0.0.1:{source.server_port}/disk"
    far = server.post("/images", meta(location=url)).image["id"]
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
    assert server.get(path).body == BYTES  # every place was given back
