"""Measure how servers of one application differ: slow clients, their end, and header names with `_`."""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Sequence
from functools import partial

import comparison
from comparison import MIB, Measuring
from crowd import at_once, meanwhile
from peers.other_servers import Served
from peers.peer import Peer
from slow_clients import p99, peak_pss, read_slowly, send_slowly

from client import Client, request

SENDERS = 200
#: Seconds after which all processes of a server serve, and all slow clients have begun.
SETTLED = 3
#: Without tokens, a caller is an address.
ANOTHER = "127.0.0.2"
#: An upload during which the server gets SIGTERM: its blocks, their size and their interval in seconds.
BLOCKS, BLOCK, INTERVAL = 40, 64 << 10, 0.1
UPLOADS = 4


def measure_slow_clients(measuring: Measuring, servers: Sequence[Served]) -> None:
    """Measure another caller's HEAD requests and the memory, alone and during slow transfers.

    Each server is started again afterwards, because slow clients may have left work behind.
    """
    seconds, sizes = measuring.seconds, measuring.sizes
    for server in measuring.turns(servers):
        content = comparison.small_content(sizes.stream)
        with Client(server) as client:
            image_id = server.store(client, content)
        measuring.add("p99-idle", server.name, p99(server, image_id, seconds))
        slow = {
            "readers": partial(read_slowly, server, image_id, sizes.readers),
            "senders": partial(send_slowly, server, SENDERS, sizes.image),
        }
        for kind, work in slow.items():
            with meanwhile(1, work):
                time.sleep(SETTLED)
                measuring.add(f"p99-{kind}", server.name, p99(server, image_id, seconds))
                measuring.add(f"pss-{kind}", server.name, peak_pss(server, 1) / MIB)
                if kind == "senders":
                    measuring.add("running", server.name, server.running_uploads())
                    measuring.add("other-upload", server.name, _upload_of_another_caller(server))
            server.stop()
            server.start()
            time.sleep(SETTLED)


def _upload_of_another_caller(server: Peer) -> float:
    """Return how long an upload of a MiB takes in milliseconds, or infinity if it fails."""
    head = request("POST", "/images", MIB, {"Content-Type": "application/octet-stream"})
    began = time.perf_counter()
    with contextlib.suppress(OSError), server.connect(source=ANOTHER) as connection:
        connection.sendall(head + bytes(MIB))
        if connection.recv(4096).startswith(b"HTTP/1.1 200"):
            return (time.perf_counter() - began) * 1000
    return math.inf


def measure_ends(measuring: Measuring, servers: Sequence[Peer]) -> None:
    """Measure how many running uploads a server completes after SIGTERM."""
    for server in measuring.turns(servers):
        done = at_once(UPLOADS + 1, partial(_upload_or_end, server))
        measuring.add("drained", server.name, sum(done.results))
        server.stop()
        server.start()


def _upload_or_end(server: Peer, number: int) -> bool:
    """Send an upload that takes `BLOCKS` intervals. The last client sends SIGTERM instead, early on."""
    if number == UPLOADS:
        time.sleep(BLOCKS * INTERVAL / 4)
        server.terminate()
        return False
    head = request("POST", "/images", BLOCKS * BLOCK, {"Content-Type": "application/octet-stream"})
    with contextlib.suppress(OSError), server.connect() as connection:
        connection.sendall(head)
        for _ in range(BLOCKS):
            connection.sendall(os.urandom(BLOCK))
            time.sleep(INTERVAL)
        return connection.recv(4096).startswith(b"HTTP/1.1 200")
    return False


def measure_headers(measuring: Measuring, servers: Sequence[Peer]) -> None:
    """Find out whether names with `_` arrive: of an image's header, and of a header that a proxy sets."""
    for server in servers:
        kept = _answer(server, b"POST /images", b"x-image-meta-min_disk: 7")
        measuring.add("kept", server.name, b'"min_disk": 7' in kept)
        forged = _answer(server, b"GET /images", b"X_Forwarded_For: 192.0.2.7")
        # Without a trusted proxy, a request that a proxy has passed on is refused.
        measuring.add("forged", server.name, forged.startswith(b"HTTP/1.1 403 "))


def _answer(server: Peer, line: bytes, header: bytes) -> bytes:
    """Send a request without a body on a connection of its own, and return the response."""
    rest = [b"Host: localhost", b"Content-Length: 0", b"Connection: close", header, b"", b""]
    with server.connect() as connection:
        connection.sendall(b"\r\n".join([line + b" HTTP/1.1", *rest]))
        return b"".join(iter(partial(connection.recv, 1 << 16), b""))
