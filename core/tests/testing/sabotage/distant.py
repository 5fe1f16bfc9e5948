"""DistantStore: a correct driver of a small HTTP server, and the kit for it and for what is made of it."""

import contextlib
import http.client
import http.server
import io
import threading
from typing import ClassVar

import pytest
from pydantic import Field

from calotype.stores import BlobNotFound, Duplicate, Stored, StoreOptions, Unavailable, WritableStore
from calotype.stores.toolkit import key_of
from calotype.testing import FaultProxy, Proxied, StoreConformance


class Handler(http.server.BaseHTTPRequestHandler):
    """An object server: PUT (412 if the name is taken), GET, HEAD and DELETE."""

    def setup(self):
        super().setup()
        self.blobs = self.server.blobs

    def do_PUT(self):
        data = self.rfile.read(int(self.headers["Content-Length"]))
        whole = len(data) == int(self.headers["Content-Length"])
        self.answer(201 if whole and self.blobs.setdefault(self.path, data) is data else 412)

    def do_GET(self):
        found = self.blobs.get(self.path)
        self.answer(404 if found is None else 200, found or b"")

    do_HEAD = do_GET

    def do_DELETE(self):
        self.answer(404 if self.blobs.pop(self.path, None) is None else 200)

    def answer(self, status, data=b""):
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, *arguments):
        pass


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.blobs = {}


class DistantOptions(StoreOptions):
    port: int = Field(description="the port of the server on this machine")


class DistantStore(WritableStore[DistantOptions]):
    """A correct driver: a blob is the object KEY, sent and read in one piece."""

    api_version = (2, 0)
    Options = DistantOptions
    timeout: ClassVar[float | None] = 0.5

    def get(self, location, offset=0, length=None):
        return io.BytesIO(self.ask("GET", self.key(location)))

    def size(self, location):
        return len(self.ask("GET", self.key(location)))

    def add(self, key, source, size=None):
        data = b"".join(iter(lambda: source.read(1 << 20), b""))
        self.send(key, io.BytesIO(data), len(data))
        return Stored(self.locate(key), len(data))

    def send(self, key, body, size):
        self.ask("PUT", key, body, size)

    def delete(self, location):
        self.ask("DELETE", self.key(location))

    def locate(self, key):
        return f"distant:{key}"

    def check(self):
        with contextlib.suppress(BlobNotFound):
            self.ask("HEAD", "")

    def key(self, location):
        return key_of(self.name, location, "distant:")

    def ask(self, method, key, body=None, size=0):
        connection = http.client.HTTPConnection("127.0.0.1", self.options.port, timeout=self.timeout)
        try:
            connection.request(method, f"/{key}", body, {"Content-Length": str(size)})
            answer = connection.getresponse()
            data = self.body_of(answer)
        except (OSError, http.client.HTTPException) as error:
            raise self.failure(error) from error
        finally:
            connection.close()
        if answer.status == 404:
            raise BlobNotFound(self.name, "there is no such object")
        if answer.status == 412:
            raise Duplicate(self.name, "the key is taken")
        return data

    def body_of(self, answer):
        return answer.read()

    def failure(self, error):
        return Unavailable(self.name, "the connection broke")


class KitOfDistant(StoreConformance):
    """The kit with DistantStore's hooks; a subclass names the driver."""

    driver: ClassVar[type[DistantStore]] = DistantStore
    deadline = 5
    known_gaps: ClassVar[dict[str, str]] = dict.fromkeys(
        (
            "test_a_large_blob_never_fills_the_process",
            "test_parallel_downloads_together_never_fill_the_process",
            "test_a_large_blob_is_never_whole_in_memory",
        ),
        "the driver and the server of the test hold whole blobs in this process",
    )

    @pytest.fixture
    def store(self):
        server = Server()
        serving = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        serving.start()
        yield self.driver("distant", self.driver.Options(port=server.server_port))
        server.shutdown()
        server.server_close()

    @contextlib.contextmanager
    def proxied(self, store):
        with FaultProxy("127.0.0.1", store.options.port) as proxy:
            yield Proxied(type(store)(store.name, store.Options(port=proxy.port)), proxy)
