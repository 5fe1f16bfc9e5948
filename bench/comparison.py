"""Measure the peers. Each figure is measured in rounds, and each round measures all peers in turn."""

from __future__ import annotations

import array
import contextlib
import fcntl
import hashlib
import os
import select
import socket
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from crowd import at_once, meanwhile
from figures import Figures
from peers.peer import Content, Peer, Refused
from rows import MACHINE, Sizes
from slow_clients import p99, peak_pss, read_slowly
from transfers import write_random

from client import Client, request

MIB = 1 << 20
GIB = 1 << 30
#: The number of bytes that are hashed to measure the speed of a hash.
HASHED = 256 << 20


@dataclass(frozen=True)
class Measuring:
    """The figures of a comparison, and how much each round measures."""

    figures: Figures
    sizes: Sizes
    rounds: int
    asked: int
    seconds: float

    def add(self, row: str, who: str, figure: float) -> None:
        """Record a round's figure, and show progress."""
        self.figures.add(row, who, figure)
        print(f"{row}, {who}: {figure:,.3f}", file=sys.stderr)

    def turns(self, peers: Sequence[Peer]) -> Iterator[Peer]:
        """Yield each peer in each round."""
        for _ in range(self.rounds):
            yield from peers


def measure_starts(measuring: Measuring, peers: Sequence[Peer]) -> None:
    """Measure how long each peer takes to start, and leave the peers running."""
    for peer in measuring.turns(peers):
        peer.stop()
        measuring.add("start", peer.name, peer.start())


def measure_machine(measuring: Measuring, content: Content) -> None:
    """Measure hashing and copying without any service."""
    copy = content.body.with_suffix(".copy")
    for _ in range(measuring.rounds):
        for name in ("md5", "sha256"):
            measuring.add(name, MACHINE, HASHED / MIB / _seconds(partial(_hash, name)))
        seconds = _seconds(partial(_copy_and_hash, content.body, copy))
        measuring.add("cp", MACHINE, content.size / MIB / seconds)
        copy.unlink()


def _hash(name: str) -> None:
    digest, block = hashlib.new(name, usedforsecurity=False), bytes(MIB)
    for _ in range(HASHED // MIB):
        digest.update(block)


def _copy_and_hash(source: Path, copy: Path) -> None:
    subprocess.run(["cp", source, copy], check=True)
    subprocess.run(["sha256sum", copy], check=True, stdout=subprocess.DEVNULL)


def measure_streams(measuring: Measuring, peers: Sequence[Peer], contents: Sequence[Content]) -> None:
    """Measure concurrent uploads of all contents, then their concurrent downloads."""
    upload, download = ("upload", "download") if len(contents) == 1 else ("uploads", "downloads")
    for peer in measuring.turns(peers):
        ids = _measure_stream(measuring, upload, peer, contents, partial(_store, peer, contents))
        _measure_stream(measuring, download, peer, contents, partial(_fetch, peer, ids))
        _remove(peer, ids)


def _measure_stream(
    measuring: Measuring, key: str, peer: Peer, contents: Sequence[Content], work: Callable[[int], Any]
) -> list[Any]:
    size, cpu = sum(content.size for content in contents), peer.cpu_seconds()
    done = at_once(len(contents), work)
    measuring.add(key, peer.name, size / MIB / done.seconds)
    measuring.add(f"{key}-cpu", peer.name, (peer.cpu_seconds() - cpu) / size * GIB)
    return done.results


def measure_one_hash(measuring: Measuring, peers: Sequence[Peer], content: Content) -> None:
    """Measure one upload to peers that compute at most one digest."""
    for peer in measuring.turns(peers):
        done = at_once(1, partial(_store, peer, [content]))
        measuring.add("upload-sha256", peer.name, content.size / MIB / done.seconds)
        _remove(peer, done.results)


def measure_disk(measuring: Measuring, peers: Sequence[Peer], content: Content) -> None:
    """Measure uploads to a disk: the speed, and how many bytes are written for each byte uploaded."""
    for peer in measuring.turns(peers):
        os.sync()
        written = peer.bytes_written()
        done = at_once(1, partial(_store, peer, [content]))
        measuring.add("upload-disk", peer.name, content.size / MIB / done.seconds)
        measuring.add("written", peer.name, (peer.bytes_written() - written) / content.size)
        _remove(peer, done.results)


def measure_small(measuring: Measuring, peers: Sequence[Peer]) -> None:
    """Measure the creation of small images with different bytes, and requests that show one image."""
    sizes = measuring.sizes
    for clients in sizes.creators:
        times = measuring.asked // clients
        for peer in measuring.turns(peers):
            contents = [small_content(sizes.small) for _ in range(max(1, times // 4) * clients)]
            work = partial(_store_share, peer, contents, clients)
            stored = _measure_requests(measuring, "create", peer, clients, len(contents), work)
            ids = [image_id for share in stored for image_id in share]
            if clients in sizes.askers:
                work = partial(_show, peer, ids[0], times)
                _measure_requests(measuring, "show", peer, clients, times * clients, work)
            _remove(peer, ids)


def _measure_requests(
    measuring: Measuring, key: str, peer: Peer, clients: int, count: int, work: Callable[[int], Any]
) -> list[Any]:
    cpu = peer.cpu_seconds()
    done = at_once(clients, work)
    measuring.add(f"{key}-{clients}", peer.name, count / done.seconds)
    measuring.add(f"{key}-cpu", peer.name, (peer.cpu_seconds() - cpu) / count * 1000)
    return done.results


def _store_share(peer: Peer, contents: Sequence[Content], clients: int, number: int) -> list[str]:
    with Client(peer) as client:
        return [peer.store(client, content) for content in contents[number::clients]]


def _show(peer: Peer, image_id: str, times: int, _number: int) -> None:
    with Client(peer) as client:
        for _ in range(times):
            peer.show(client, image_id)


def measure_lists(measuring: Measuring, peers: Sequence[Peer]) -> None:
    """Measure a list of 25 among few, many and most images. Peers without such a list have no figure."""
    peers = [peer for peer in peers if peer.lists]
    sizes, times = measuring.sizes, max(5, measuring.asked // 20)
    steps = {
        "list-few": sizes.few,
        "list-many": sizes.many - sizes.few,
        "list-most": sizes.most - sizes.many,
    }
    for key, more in steps.items():
        if key == "list-most":
            peers = [peer for peer in peers if peer.lists_most]
        for peer in peers:
            peer.populate(more)
        for peer in measuring.turns(peers):
            measuring.add(key, peer.name, _seconds(partial(_list, peer, times)) / times * 1000)


def _list(peer: Peer, times: int) -> None:
    with Client(peer) as client:
        for _ in range(times):
            peer.list(client)


def measure_crowded(measuring: Measuring, peers: Sequence[Peer], contents: Sequence[Content]) -> None:
    """Measure small requests alone, during uploads, and during uploads and slow downloads together."""
    sizes = measuring.sizes
    *uploaded, shown = contents
    for peer in measuring.turns(peers):
        image_id = _store(peer, [shown], 0)
        measuring.add("p99-idle", peer.name, p99(peer, image_id, measuring.seconds))
        with meanwhile(sizes.uploads, partial(_store_and_remove, peer, uploaded)):
            measuring.add("p99-uploads", peer.name, p99(peer, image_id, measuring.seconds))
            if peer.bears_slow_readers:
                with meanwhile(1, partial(read_slowly, peer, image_id, sizes.readers)):
                    measuring.add("p99-all", peer.name, p99(peer, image_id, measuring.seconds))
        _remove(peer, [image_id])


def measure_refusals(measuring: Measuring, peers: Sequence[Peer]) -> None:
    """Measure how soon a body is refused, and how much of it was read by then.

    Peers that close the connection without a response have no figure.
    """
    for peer in measuring.turns(peers):
        with peer.connect() as connection, contextlib.suppress(ConnectionError):
            connection.setblocking(False)
            began = time.perf_counter()
            sent = _send_until_answered(connection, peer.refused())
            waited = time.perf_counter() - began
            read = sent - _on_the_way(peer, connection)
            answer = connection.recv(4096)
            if not answer.startswith((b"HTTP/1.1 4", b"HTTP/1.0 4")):
                raise SystemExit(f"{peer.name} does not refuse: {answer.decode(errors='replace')}")
            measuring.add("refused", peer.name, waited * 1000)
            measuring.add("refused-read", peer.name, max(0, read) / MIB)


def _send_until_answered(connection: socket.socket, refused: Refused) -> int:
    """Send a body until the server refuses it, and return the number of bytes sent."""
    sent, block = 0, bytes(MIB)
    connection.send(request(refused.method, refused.path, refused.size, dict(refused.headers)))
    while True:
        more = [connection] if sent < refused.size else []
        readable, writable, _ = select.select([connection], more, [], 30)
        if readable or not writable:
            return sent
        sent += connection.send(block[: refused.size - sent])


def _on_the_way(peer: Peer, connection: socket.socket) -> int:
    """Return the sent bytes that the kernel still holds, on both sides of the connection."""
    unsent = array.array("i", [0])
    fcntl.ioctl(connection, termios.TIOCOUTQ, unsent)
    ends = f":{peer.port:04X} ", f":{connection.getsockname()[1]:04X} "
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    theirs = [line.split() for line in lines if ends[0] in line[:20] and ends[1] in line[20:35]]
    return unsent[0] + sum(int(fields[4].partition(":")[2], 16) for fields in theirs)


def measure_pss(measuring: Measuring, peers: Sequence[Peer], contents: Sequence[Content]) -> None:
    """Measure the memory of all processes of a peer during concurrent uploads of all contents."""
    for peer in measuring.turns(peers):
        with meanwhile(len(contents), partial(_store_and_remove, peer, contents)):
            measuring.add("pss", peer.name, peak_pss(peer, measuring.seconds) / MIB)


def measure_memory(measuring: Measuring, key: str, peers: Sequence[Peer]) -> None:
    """Record the peak memory of each peer."""
    for peer in peers:
        measuring.add(key, peer.name, peer.peak_memory() / MIB)


def big_content(path: Path, size: int) -> Content:
    """Write a file of random bytes, and return it with its digest."""
    write_random(path, size)
    with path.open("rb") as file:
        return Content(path, hashlib.file_digest(file, "sha256").hexdigest())


def small_content(size: int) -> Content:
    """Return new random bytes with their digest."""
    body = os.urandom(size)
    return Content(body, hashlib.sha256(body).hexdigest())


def _store(peer: Peer, contents: Sequence[Content], number: int) -> str:
    with Client(peer) as client:
        return peer.store(client, contents[number])


def _fetch(peer: Peer, ids: Sequence[str], number: int) -> int:
    with Client(peer) as client:
        return client.fetch(peer.address(ids[number]))


def _store_and_remove(peer: Peer, contents: Sequence[Content], number: int) -> None:
    with Client(peer) as client:
        peer.remove(client, peer.store(client, contents[number]))


def _remove(peer: Peer, ids: Sequence[str]) -> None:
    with Client(peer) as client:
        for image_id in dict.fromkeys(ids):
            peer.remove(client, image_id)


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
