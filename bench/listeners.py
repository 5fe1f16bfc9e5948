"""Measure what listeners and waiters cost: another caller's HEAD, and memory.

Prints a table, and asserts nothing. While 500 clients listen at /events and 200 wait for a status, an image
is changed once a second, so each listener gets an event a second. The goal is a p99 of HEAD of at most 1.5
times the p99 without them, and 30 MiB.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import select
import socket
import statistics
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import processes
from rich.console import Console
from rich.table import Table
from testservers import common

from calotype.identity.token_file import TokenFile
from client import Client
from server import Server, change_ini

#: Seconds of each measurement, and between two requests of the measured caller.
_SECONDS = 20
_PAUSE = 0.01


@dataclass(frozen=True)
class Row:
    """The durations of HEAD requests in seconds, the processor's load, and the memory in bytes."""

    name: str
    times: list[float]
    cpu: float
    memory: int


class Crowd:
    """Connections whose responses do not end. A thread reads what arrives."""

    def __init__(self, server: Server, head: bytes, count: int):
        self.received = 0
        self._connections = [server.connect() for _ in range(count)]
        for connection in self._connections:
            connection.sendall(head)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def close(self) -> None:
        """Close all connections."""
        self._ending.set()
        self._thread.join()
        for connection in self._connections:
            connection.close()

    def _read(self) -> None:
        poll = select.epoll()
        by_number: dict[int, socket.socket] = {one.fileno(): one for one in self._connections}
        for number in by_number:
            poll.register(number, select.EPOLLIN)
        while not self._ending.is_set():
            for number, _ in poll.poll(0.2):
                block = by_number[number].recv(65536)
                self.received += block.count(b"\nevent: ")
                if not block:
                    poll.unregister(number)


def main() -> None:
    """Measure without and with listeners and waiters, and print both."""
    options = read_options()
    with common.run_folder(options.dir) as folder:
        tokens = TokenFile(folder / "tokens.json")
        app = {
            "calotype.identity": "tokens",
            "calotype.tokens_file": str(tokens.path),
            "calotype.listeners": str(options.listeners + options.waiters),
            "calotype.listeners_per_caller": str(options.listeners + options.waiters),
        }
        connections = str(options.listeners + options.waiters + 100)
        ini = change_ini(
            folder / "listeners.ini", {"app:main": app, "server:main": {"connection_limit": connections}}
        )
        listening, measured = (tokens.add(name, name, ("member",)) for name in ("listening", "measured"))
        with Server(folder / "data", ini) as server:
            show(*measure(server, options, listening, measured))


def measure(
    server: Server, options: argparse.Namespace, listening: str, measured: str
) -> tuple[list[Row], int]:
    """Return the times of HEAD requests and the memory in each state, and the number of events received."""
    with Client(server) as client:
        document = b'{"disk_format": "raw", "container_format": "bare", "visibility": "shared"}'
        made = client.ask(
            "POST", "/v2/images", document, Content_Type="application/json", X_Auth_Token=listening
        )
        image = json.loads(made.body)["id"]
        own = json.loads(
            client.ask(
                "POST", "/v2/images", document, Content_Type="application/json", X_Auth_Token=measured
            ).body
        )["id"]
    with changing(server, image, listening):
        times(server, own, measured, 3)  # warm up
        rows = [measured_row("alone", server, own, measured)]
        token = f"Host: localhost\r\nX-Auth-Token: {listening}\r\n\r\n"
        listeners = Crowd(server, f"GET /events HTTP/1.1\r\n{token}".encode(), options.listeners)
        wait = f"GET /v2/images/{image}?wait=active&timeout=300 HTTP/1.1\r\n{token}".encode()
        waiters = Crowd(server, wait, options.waiters)
        time.sleep(3)
        try:
            name = f"with {options.listeners} listeners and {options.waiters} waiters"
            rows.append(measured_row(name, server, own, measured))
        finally:
            listeners.close()
            waiters.close()
    return rows, listeners.received


def measured_row(name: str, server: Server, image: str, token: str) -> Row:
    """Measure HEAD requests, processor time and memory."""
    cpu = server.cpu_seconds()
    found = times(server, image, token, _SECONDS)
    cpu = (server.cpu_seconds() - cpu) / _SECONDS
    return Row(name, found, cpu, processes.proportional_memory(server.process.pid))


@contextlib.contextmanager
def changing(server: Server, image: str, token: str) -> Iterator[None]:
    """Change an image once a second while the block runs."""
    ending = threading.Event()

    def change() -> None:
        with Client(server) as client:
            number = 0
            while not ending.wait(1):
                number += 1
                patch = json.dumps([{"op": "replace", "path": "/name", "value": f"n{number}"}]).encode()
                kind = "application/openstack-images-v2.1-json-patch"
                client.ask("PATCH", f"/v2/images/{image}", patch, Content_Type=kind, X_Auth_Token=token)

    thread = threading.Thread(target=change)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()


def times(server: Server, image: str, token: str, seconds: float) -> list[float]:
    """Return the durations of HEAD requests of one caller, in seconds."""
    found, end = [], time.monotonic() + seconds
    with Client(server) as client:
        while time.monotonic() < end:
            began = time.perf_counter()
            client.ask("HEAD", f"/images/{image}", X_Auth_Token=token)
            found.append(time.perf_counter() - began)
            time.sleep(_PAUSE)
    return found


def show(rows: list[Row], received: int) -> None:
    """Print the table."""
    table = Table("", "HEAD p50", "HEAD p99", "p99, compared", "one core", "memory", "more memory")
    alone, *_ = rows
    for one in rows:
        table.add_row(
            one.name,
            f"{statistics.median(one.times) * 1000:.2f} ms",
            f"{_p99(one.times) * 1000:.2f} ms",
            f"{_p99(one.times) / _p99(alone.times):.2f}",
            f"{one.cpu:.0%}",
            f"{one.memory / 2**20:.0f} MiB",
            f"{(one.memory - alone.memory) / 2**20:.1f} MiB",
        )
    console = Console()
    console.print(table)
    console.print(f"{received} events were received")


def _p99(found: list[float]) -> float:
    return statistics.quantiles(found, n=100)[98]


def read_options() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--listeners", type=int, default=500)
    parser.add_argument("--waiters", type=int, default=200)
    parser.add_argument("--dir", type=Path, help="folder for data; default: a temporary one")
    return parser.parse_args()


if __name__ == "__main__":
    main()
