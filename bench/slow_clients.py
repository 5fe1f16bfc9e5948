"""Slow clients, and what a peer does meanwhile: the response times of another caller, and its memory."""

from __future__ import annotations

import contextlib
import math
import time

from peers.peer import Peer

from client import Client, request

#: The rate of a slow client in bytes per second.
SLOW = 16 << 10
SLOW_BUFFER = 64 << 10
#: How often the memory is read, in seconds.
EVERY = 0.05


def p99(peer: Peer, image_id: str, seconds: float) -> float:
    """Return the time in milliseconds within which 99 % of the requests are answered.

    Infinity means that a request had no response within the peer's `patience`.
    """
    waits: list[float] = []
    time.sleep(0.3)
    with Client(peer) as client:
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            began = time.perf_counter()
            try:
                peer.show(client, image_id)
            except TimeoutError:
                return math.inf
            waits.append(time.perf_counter() - began)
            time.sleep(0.001)
    return sorted(waits)[int(len(waits) * 0.99)] * 1000


def read_slowly(peer: Peer, image_id: str, readers: int, _number: int) -> None:
    """Open this many downloads of an image, and read them slowly until this process is ended."""
    connections = [peer.connect(SLOW_BUFFER) for _ in range(readers)]
    for connection in connections:
        connection.sendall(request("GET", peer.address(image_id), None, {}))
        connection.setblocking(False)
    while True:
        for connection in connections:
            with contextlib.suppress(BlockingIOError):  # this download has not begun
                connection.recv(SLOW)
            time.sleep(1 / readers)


def send_slowly(server: Peer, senders: int, size: int, _number: int) -> None:
    """Begin this many uploads, and send them slowly until this process is ended."""
    connections = [server.connect() for _ in range(senders)]
    for connection in connections:
        connection.sendall(request("POST", "/images", size, {"Content-Type": "application/octet-stream"}))
        connection.setblocking(False)
    block = bytes(SLOW)
    while True:
        for connection in connections:
            # The server does not read this upload yet, or has refused it.
            with contextlib.suppress(BlockingIOError, ConnectionError):
                connection.send(block)
            time.sleep(1 / senders)


def peak_pss(peer: Peer, seconds: float) -> int:
    """Return the maximum of the memory of all processes of a peer within this time, in bytes."""
    end, peak = time.perf_counter() + seconds, 0
    while time.perf_counter() < end:
        peak = max(peak, peer.proportional_memory())
        time.sleep(EVERY)
    return peak
