"""Start a server of calotype.ini in its own process, and read its memory and processor time."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
from pathlib import Path

import processes
from testservers import common

sys.path.append(str(Path(__file__).resolve().parents[1]))
from tests.support.ini import INI, ROOT, change_ini

__all__ = ["INI", "PLAIN", "PSERVE", "ROOT", "Server", "change_ini"]
#: pserve in the environment of `make bench`, which has no test dependencies. Otherwise, the database drivers
#: that tests need would be loaded, which takes 17 MiB.
PLAIN = ROOT / ".venv-plain" / "bin" / "pserve"
#: The pserve of measured servers.
PSERVE = PLAIN if PLAIN.exists() else Path(sys.executable).with_name("pserve")


class Server:
    """pserve on a free port, with its data in a folder. It ends after the block."""

    def __init__(self, data_dir: Path, ini: Path = INI):
        self.data_dir = data_dir
        self._ini = ini
        (self.port,) = common.free_ports(1)

    def __enter__(self) -> Server:
        self.data_dir.mkdir(parents=True, exist_ok=True)
        command = [
            PSERVE,
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
        """Return a new connection, which the caller closes."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=120)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def peak_memory(self) -> int:
        """Return the peak memory of the process in bytes."""
        return processes.peak_memory(self.process.pid)

    def cpu_seconds(self) -> float:
        """Return the processor time of the process in seconds."""
        return processes.cpu_seconds(self.process.pid)
