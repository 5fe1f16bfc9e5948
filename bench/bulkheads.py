"""Show how other requests are served while one store hangs under load.

    .venv/bin/python bench/bulkheads.py --seconds 60

A server has a file store, an S3 store, and web sources. The S3 store and the sources accept connections and
never answer. One client repeats HEAD requests for an image in the file store, and another client repeats
uploads of 64 KiB to this store. In the first part, there are no other clients. In the second part, other
clients upload to the silent store, register silent locations, and request /readyz.
"""

from __future__ import annotations

import argparse
import http.client
import json
import socket
import statistics
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from calotype.identity.token_file import TokenFile
from server import INI, Server

BYTES = bytes(range(256)) * 256
OCTETS = {"Content-Type": "application/octet-stream"}
#: The number of clients for each kind of hostile request, and the pause between requests in seconds.
EACH, PAUSE = 8, 0.05


@dataclass
class Seen:
    """The results of one kind of request: the duration of each in seconds, and its status."""

    seconds: list[float] = field(default_factory=list)
    statuses: Counter[int | str] = field(default_factory=Counter)

    def row(self, name: str) -> str:
        """Return a line of the table: the number of requests, p50, p99 and maximum in ms, and statuses."""
        if len(self.seconds) < 2:
            return f"{name:<36} {len(self.seconds):>7}"
        p50, p99 = statistics.median(self.seconds), statistics.quantiles(self.seconds, n=100)[98]
        told = ", ".join(f"{status}: {count}" for status, count in sorted(self.statuses.items(), key=str))
        times = f"{p50 * 1000:>9.1f} {p99 * 1000:>9.1f} {max(self.seconds) * 1000:>10.1f}"
        return f"{name:<36} {len(self.seconds):>7} {times}   {told}"

    @property
    def p99(self) -> float:
        """The time in seconds within which 99 % of the requests were answered."""
        return statistics.quantiles(self.seconds, n=100)[98]


class Client:
    """A client that sends its requests on one connection."""

    def __init__(self, port: int):
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=400)

    def ask(
        self, method: str, path: str, headers: dict[str, str], body: bytes | None = None
    ) -> tuple[int, bytes]:
        """Send a request, and return the status and the body. After an error, close the connection."""
        try:
            self._connection.request(method, path, body, headers)
            answer = self._connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            raise


@dataclass(frozen=True)
class Kind:
    """A kind of request, and the number of clients that send it."""

    name: str
    clients: int
    ask: Callable[[Client], tuple[int, bytes]]


def main() -> None:
    """Measure without and with load on the hanging store, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60, help="how long the stores hang (60)")
    parser.add_argument("--alone", type=float, default=60, help="seconds to measure before that (60)")
    parser.add_argument("--timeout", default="5", help="call_timeout and stall_timeout; empty: the defaults")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, socket.create_server(("127.0.0.1", 0), backlog=200) as silent:
        folder = Path(name)
        file = TokenFile(folder / "tokens.json")
        tokens = [file.add(name, name, ("admin",)) for name in ("one", "other")]
        ini = write_ini(folder, silent.getsockname()[1], options.timeout)
        with Server(folder / "data", ini) as server:
            measure(server, silent.getsockname()[1], tokens, options)


def write_ini(folder: Path, port: int, timeout: str) -> Path:
    """Write calotype.ini with the silent store and the silent web sources, and return its path."""
    lines = [
        "calotype.identity = tokens",
        f"calotype.tokens_file = {folder / 'tokens.json'}",
        "calotype.stores = file far http",
        "store.far.driver = s3",
        "store.far.bucket = images",
        f"store.far.endpoint_url = http://127.0.0.1:{port}",
        "store.http.allowed_networks = 127.0.0.1/32",
        f"store.http.ports = {port}",
        "store.far.access_key = key",
        "store.far.secret_key = secret",
    ]
    if timeout:
        lines += [
            f"store.{name}.{key}_timeout = {timeout}" for name in ("far", "http") for key in ("call", "stall")
        ]
    text = INI.read_text().replace("[app:main]", "\n".join(["[app:main]", *lines]), 1)
    path = folder / "bench.ini"
    path.write_text(text)
    return path


def measure(server: Server, port: int, tokens: list[str], options: argparse.Namespace) -> None:
    """Print the results of both parts, and compare them."""
    status, body = Client(server.port).ask("POST", "/images", {**OCTETS, "X-Auth-Token": tokens[0]}, BYTES)
    if status != 200:
        raise SystemExit(f"the server cannot be used: {status} {body!r}")
    path = f"/images/{json.loads(body)['image']['id']}"
    one, other = ({"X-Auth-Token": token} for token in tokens)
    octets = {**OCTETS, **one}
    far = {**OCTETS, **other, "x-image-meta-store": "far"}
    location = {**other, "x-image-meta-location": f"http://127.0.0.1:{port}/"}
    others = [
        Kind("HEAD", 1, lambda client: client.ask("HEAD", path, one)),
        Kind("upload of 64 KiB", 1, lambda client: client.ask("POST", "/images", octets, BYTES)),
    ]
    hostile = [
        Kind("upload to a silent store", EACH, lambda client: client.ask("POST", "/images", far, BYTES)),
        Kind("location that is silent", EACH, lambda client: client.ask("POST", "/images", location)),
        Kind("readiness", EACH, lambda client: client.ask("GET", "/readyz", other)),
    ]
    print(f"{'':<36} {'count':>7} {'p50 ms':>9} {'p99 ms':>9} {'slowest':>10}   statuses")
    alone = run(server, others, options.alone)
    meanwhile = run(server, others + hostile, options.seconds)
    for when, part in (("alone", alone), ("meanwhile", meanwhile)):
        for name, seen in part.items():
            print(seen.row(f"{name}, {when}"))
    for name, seen in alone.items():
        if len(meanwhile[name].seconds) > 1:
            print(f"{name}: p99 is {meanwhile[name].p99 / seen.p99:.1f} times as long while stores hang")


def run(server: Server, kinds: list[Kind], seconds: float) -> dict[str, Seen]:
    """Let the clients of each kind send requests for this time, with their pauses."""
    seen, end = {kind.name: Seen() for kind in kinds}, time.monotonic() + seconds
    threads = [
        threading.Thread(target=_ask, args=(server, kind, seen[kind.name], end), daemon=True)
        for kind in kinds
        for _ in range(kind.clients)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0, end - time.monotonic()) + 1)  # some wait for the silent store
    return seen


def _ask(server: Server, kind: Kind, seen: Seen, end: float) -> None:
    client = Client(server.port)
    while time.monotonic() < end:
        began = time.perf_counter()
        try:
            status: int | str = kind.ask(client)[0]
        except (OSError, http.client.HTTPException) as error:
            status = type(error).__name__
        seen.seconds.append(time.perf_counter() - began)
        seen.statuses[status] += 1
        time.sleep(PAUSE)


if __name__ == "__main__":
    main()
