"""A server of tintype.ini in a process of its own, and how much memory it took."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
INI = ROOT / "tintype.ini"


class Server:
    """pserve on a free port, with its data in a folder; ended when the `with` is left."""

    def __init__(self, data_dir: Path, ini: Path = INI):
        self.data_dir = data_dir
        self._ini = ini
        self.port = _free_port()

    def __enter__(self) -> Server:
        self.data_dir.mkdir(parents=True, exist_ok=True)
        command = [
            Path(sys.executable).with_name("pserve"),
            self._ini,
            f"http_port={self.port}",
            f"data_dir={self.data_dir}",
        ]
        with (self.data_dir / "server.log").open("wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._wait()
        return self

    def __exit__(self, *error: object) -> None:
        self.process.terminate()
        self.process.wait(timeout=30)

    def _wait(self) -> None:
        while self.process.poll() is None:
            with contextlib.suppress(OSError):
                self.connect().close()
                return
            time.sleep(0.05)
        raise SystemExit((self.data_dir / "server.log").read_text())

    def connect(self) -> socket.socket:
        """A new connection, to be closed by the caller."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=120)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def peak_memory(self) -> int:
        """The most bytes of memory that the process has had at once (VmHWM)."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"^VmHWM:\s+(\d+) kB", status, re.M)[1]) << 10

    def cpu_seconds(self) -> float:
        """The processor time that the process has had, which other load on the machine changes little."""
        after_name = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(after_name[11]) + int(after_name[12])) / os.sysconf("SC_CLK_TCK")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
