"""What every peer does: start, answer, take images and give them back; and what its processes cost."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import processes
from client import Client
from testservers import common

HOST = "127.0.0.1"
GIB = 1 << 30
#: Processes that serve, where a peer lets us choose.
PROCESSES = 2
LISTED = 25
#: Size of the body that will be refused.
REFUSED = 10 * GIB


@dataclass(frozen=True)
class Content:
    """An image's bytes, and the digest that some peers want to be told."""

    body: Path | bytes
    sha256: str

    @property
    def size(self) -> int:
        """How many they are."""
        return len(self.body) if isinstance(self.body, bytes) else self.body.stat().st_size


@dataclass(frozen=True)
class Refused:
    """The head of an upload that a peer does not take."""

    method: str
    path: str
    headers: Mapping[str, str]


class Peer(ABC):
    """A server with its data in a folder, from `prepare` and `start` to `stop`."""

    #: What it is called in the table.
    name: str
    #: Whether it can list images, a few of many.
    lists = True
    #: Whether it can be filled with the most images in a reasonable time.
    lists_most = True
    #: Whether 200 slow readers leave it able to answer anybody.
    bears_slow_readers = True

    def __init__(self, folder: Path):
        self.folder = folder
        (self.port,) = common.free_ports(1)
        self._started: list[subprocess.Popen[bytes]] = []

    @abstractmethod
    def prepare(self) -> None:
        """Install it and write its configuration; nothing runs yet."""

    @abstractmethod
    def spawn(self) -> None:
        """Start its processes."""

    @abstractmethod
    def store(self, client: Client, content: Content) -> str:
        """Create an image with these bytes, and return its id."""

    @abstractmethod
    def show(self, client: Client, image_id: str) -> None:
        """Ask for what is known of an image."""

    @abstractmethod
    def address(self, image_id: str) -> str:
        """Where the bytes of an image are."""

    @abstractmethod
    def remove(self, client: Client, image_id: str) -> None:
        """Delete an image."""

    @abstractmethod
    def refused(self) -> Refused:
        """An upload that it will not take."""

    def list(self, client: Client) -> None:
        """Ask for some of all images."""
        raise NotImplementedError

    def populate(self, count: int) -> None:
        """Make it so many images that it would list."""
        raise NotImplementedError

    def start(self) -> float:
        """Start it, and return how many seconds later it answered."""
        began = time.perf_counter()
        self.spawn()
        while any(process.poll() is None for process in self._started):
            with contextlib.suppress(OSError), Client(self) as client:
                client.send("GET", "/")
                return time.perf_counter() - began
            time.sleep(0.002)
        raise SystemExit(f"{self.name} ended:\n{self.log.read_text()[-4000:]}")

    def stop(self) -> None:
        """End it; its data stay."""
        for process in self._started:
            process.terminate()
        for process in self._started:
            process.wait(timeout=60)
        self._started.clear()

    @property
    def log(self) -> Path:
        """Where its processes write what they have to say."""
        return self.folder / "log" / "server"

    def connect(self, receive_buffer: int | None = None) -> socket.socket:
        """A new connection, to be closed by the caller."""
        connection = socket.socket()
        if receive_buffer is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        connection.settimeout(300)
        connection.connect((HOST, self.port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def cpu_seconds(self) -> float:
        """The processor time of all its processes."""
        return sum(map(processes.cpu_seconds, self._family()))

    def bytes_written(self) -> int:
        """The bytes that all its processes wrote to disks."""
        return sum(map(processes.bytes_written, self._family()))

    def peak_memory(self) -> int:
        """The most memory that one of its processes has had."""
        return max(map(processes.peak_memory, self._family()))

    def _family(self) -> Sequence[int]:
        return list(processes.families(process.pid for process in self._started))

    def _spawn(self, *command: str | Path) -> None:
        """Start a process with nothing of our environment but what all need."""
        self._started.append(common.Server(self.folder).spawn("server", command))
