"""The base of all peers: start, transfer images, and report the costs of its processes."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import processes
from testservers import common

from calotype_server.cores import usable
from client import Client

HOST = "127.0.0.1"
GIB = 1 << 30
#: The number of serving processes, if a peer allows the choice.
PROCESSES = usable()
LISTED = 25
#: Size of the body that will be refused.
REFUSED = 10 * GIB


@dataclass(frozen=True)
class Content:
    """An image's bytes, and their digest, which some peers require."""

    body: Path | bytes
    sha256: str

    @property
    def size(self) -> int:
        """The number of bytes."""
        return len(self.body) if isinstance(self.body, bytes) else self.body.stat().st_size


@dataclass(frozen=True)
class Refused:
    """The head of an upload that a peer refuses."""

    method: str
    path: str
    headers: Mapping[str, str]
    size: int = REFUSED


class Peer(ABC):
    """A server with its data in a folder, from `prepare` and `start` to `stop`."""

    #: The name of the peer in the table.
    name: str
    #: True if the peer can list images in pages.
    lists = True
    #: True if the peer can be filled with the largest number of images in a reasonable time.
    lists_most = True
    #: Timeout in seconds of each call of the kernel on a connection.
    patience = 300
    #: True if the peer still answers other clients while 200 clients read slowly.
    bears_slow_readers = True

    def __init__(self, folder: Path):
        self.folder = folder
        (self.port,) = common.free_ports(1)
        self._started: list[subprocess.Popen[bytes]] = []

    @abstractmethod
    def prepare(self) -> None:
        """Install the peer and write its configuration, without starting it."""

    @abstractmethod
    def spawn(self) -> None:
        """Start the processes of the peer."""

    @abstractmethod
    def store(self, client: Client, content: Content) -> str:
        """Create an image with these bytes, and return its id."""

    @abstractmethod
    def show(self, client: Client, image_id: str) -> None:
        """Request the metadata of an image."""

    @abstractmethod
    def address(self, image_id: str) -> str:
        """Return the path of an image's bytes."""

    @abstractmethod
    def remove(self, client: Client, image_id: str) -> None:
        """Delete an image."""

    @abstractmethod
    def refused(self) -> Refused:
        """Return an upload that the peer refuses."""

    def list(self, client: Client) -> None:
        """Request a page of the list of images."""
        raise NotImplementedError

    def populate(self, count: int) -> None:
        """Add this many images, which lists show."""
        raise NotImplementedError

    def start(self) -> float:
        """Start the peer, and return the time in seconds until its first response."""
        began = time.perf_counter()
        self.spawn()
        while any(process.poll() is None for process in self._started):
            with contextlib.suppress(OSError), Client(self) as client:
                client.send("GET", "/")
                return time.perf_counter() - began
            time.sleep(0.002)
        raise SystemExit(f"{self.name} ended:\n{self.log.read_text()[-4000:]}")

    def terminate(self) -> None:
        """Send SIGTERM to the peer, also from a client's process."""
        for process in self._started:
            os.kill(process.pid, signal.SIGTERM)

    def stop(self) -> None:
        """End the peer, and keep its data."""
        for process in self._started:
            process.terminate()
        for process in self._started:
            process.wait(timeout=60)
        self._started.clear()

    @property
    def log(self) -> Path:
        """The file with the output of the peer's processes."""
        return self.folder / "log" / "server"

    def connect(self, receive_buffer: int | None = None, source: str | None = None) -> socket.socket:
        """Return a new connection, which the caller closes. `source` is the client's address."""
        connection = socket.socket()
        if source is not None:
            connection.bind((source, 0))
        if receive_buffer is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        connection.settimeout(self.patience)
        connection.connect((HOST, self.port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def cpu_seconds(self) -> float:
        """Return the processor time of all its processes in seconds."""
        return sum(map(processes.cpu_seconds, self._family()))

    def bytes_written(self) -> int:
        """Return the number of bytes that its processes have written to disks."""
        return sum(map(processes.bytes_written, self._family()))

    def peak_memory(self) -> int:
        """Return the peak memory of its largest process in bytes."""
        return max(map(processes.peak_memory, self._family()))

    def proportional_memory(self) -> int:
        """Return the memory of all its processes in bytes, in which shared memory counts once."""
        return sum(map(processes.proportional_memory, self._family()))

    def _family(self) -> Sequence[int]:
        return list(processes.families(process.pid for process in self._started))

    def _spawn(self, *command: str | Path) -> None:
        """Start a process with a minimal environment."""
        self._started.append(common.Server(self.folder).spawn("server", command))


@contextlib.contextmanager
def prepared(peers: Sequence[Peer]) -> Iterator[None]:
    """Prepare all peers, and stop them after the block."""
    with contextlib.ExitStack() as stack:
        for peer in peers:
            peer.folder.mkdir()
            peer.prepare()
            stack.callback(peer.stop)
        yield


@contextlib.contextmanager
def running(peers: Sequence[Peer]) -> Iterator[None]:
    """Prepare and start all peers, and stop them after the block."""
    with prepared(peers):
        for peer in peers:
            peer.start()
        yield
