"""Measure the command `calotype` beside curl and aria2c, on this machine. Write a page.

All programs transfer the same file to and from one server with the store `file`, one after the other in each
round. The time of `calotype` includes its start and its verification; curl and aria2c verify nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import peers_table
from figures import US, Figures, Row, at_most, times
from rows import mib
from testservers import common
from transfers import write_random

from client import Client
from server import Server
from tests.functional.command.cutting import CuttingProxy
from tests.support.results import RESULTS, machine, write_page

PAGE = RESULTS / "command.md"
MIB, GIB = 1 << 20, 1 << 30
CURL, ARIA2 = "curl", "aria2c -x4"
#: The disk that is mostly empty: the part that has data, and the length of each run of data in bytes.
FILLED, RUN = 0.1, 4 * MIB
_FORMATS = {"disk_format": "raw", "container_format": "bare"}


@dataclass(frozen=True)
class Ended:
    """A process that has ended: its duration in seconds, and its peak of resident memory in bytes."""

    seconds: float
    memory: int


def run(command: Sequence[str | Path], environ: dict[str, str]) -> Ended:
    """Run a program that must succeed."""
    began = time.perf_counter()
    process = subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(map(str, command))} ended with {process.returncode}")
    return Ended(time.perf_counter() - began, usage.ru_maxrss << 10)


class Measured:
    """The programs beside one server, and their figures."""

    def __init__(self, server: Server, folder: Path, figures: Figures):
        self._server = server
        self._folder = folder
        self.figures = figures
        self._url = f"http://127.0.0.1:{server.port}"
        self._environ = {"PATH": os.environ["PATH"], "HOME": str(folder), "CALOTYPE_URL": self._url}

    def calotype(self, *arguments: str | Path, url: str | None = None) -> Ended:
        """Run the command of this checkout."""
        environ = {**self._environ, **({"CALOTYPE_URL": url} if url else {})}
        ended = run([Path(sys.executable).with_name("calotype"), *arguments], environ)
        self.figures.add("memory", US, ended.memory / MIB)
        return ended

    def uploads(self, source: Path) -> None:
        """Send the file with each program."""
        image_id = self._create()
        kind = "Content-Type: application/octet-stream"
        ended = run(["curl", "-sSf", "-H", kind, "-T", source, self._address(image_id)], self._environ)
        self._add("push", CURL, source, ended)
        self._remove(image_id)
        for key, connections in (("push", "1"), ("push-4", "4")):
            ended = self.calotype("push", "-q", "--no-resume", "-j", connections, source, "sent")
            self._add(key, US, source, ended)
            self._remove(self._only())

    def downloads(self, source: Path) -> None:
        """Fetch the file with each program."""
        self.calotype("push", "-q", source, "fetched")
        address = self._address(self._only())
        with self._copy() as copy:
            self._add("pull", CURL, source, run(["curl", "-sSf", "-o", copy, address], self._environ))
        for key, connections in (("pull", "1"), ("pull-4", "4")):
            with self._copy() as copy:
                self._add(key, US, source, self.calotype("pull", "-q", "-j", connections, "fetched", copy))
        if shutil.which("aria2c"):
            with self._copy() as copy:
                split = ["-q", "-x4", "-s4", "--file-allocation=none", "-d", copy.parent, "-o", copy.name]
                self._add("pull-4", ARIA2, source, run(["aria2c", *split, address], self._environ))
        self._remove(self._only())

    def sparse(self, size: int) -> None:
        """Send and fetch a disk that is mostly empty, and count the bytes on the wire."""
        disk = self._folder / "sparse.raw"
        write_sparse(disk, size)
        with CuttingProxy(self._server.port) as proxy:
            self.calotype("push", "-q", "--no-resume", disk, "sparse", url=proxy.url)
            self.figures.add("sparse-up", US, proxy.up_bytes / GIB)
            with self._copy() as copy:
                self.calotype("pull", "-q", "sparse", copy, url=proxy.url)
                run(["cmp", disk, copy], self._environ)
                self.figures.add("sparse-down", US, proxy.down_bytes / GIB)
        self._remove(self._only())
        disk.unlink()

    def help(self) -> None:
        """Measure the start of the command."""
        self.figures.add("help", US, self.calotype("--help").seconds)

    @contextmanager
    def _copy(self) -> Iterator[Path]:
        copy = self._folder / "copy.raw"
        yield copy
        copy.unlink()

    def _add(self, key: str, who: str, source: Path, ended: Ended) -> None:
        self.figures.add(key, who, source.stat().st_size / MIB / ended.seconds)
        print(f"{key:8} {who:12} {ended.seconds:.2f} s", file=sys.stderr)

    def _address(self, image_id: str) -> str:
        return f"{self._url}/v2/images/{image_id}/file"

    def _create(self) -> str:
        with Client(self._server) as client:
            document = json.dumps({"name": "created", **_FORMATS}).encode()
            answer = client.ask("POST", "/v2/images", document, Content_Type="application/json")
            return str(json.loads(answer.body)["id"])

    def _only(self) -> str:
        """Return the id of the only image."""
        with Client(self._server) as client:
            (image,) = json.loads(client.ask("GET", "/v2/images").body)["images"]
            return str(image["id"])

    def _remove(self, image_id: str) -> None:
        with Client(self._server) as client:
            client.ask("DELETE", f"/v2/images/{image_id}")


def write_sparse(path: Path, size: int) -> None:
    """Write a file of which only every tenth run has data, and the rest is holes."""
    with path.open("wb") as file:
        file.truncate(size)
        for start in range(0, size, round(RUN / FILLED)):
            file.seek(start)
            file.write(os.urandom(min(RUN, size - start)))


def rows(size: int, sparse: int) -> list[Row]:
    """Return the lines of the table in the order of the page."""
    one, wire = mib(size), f"{mib(sparse)} of which {FILLED:.0%} have data"
    most = (at_most(0.12 * sparse / GIB, "GiB"),)
    return [
        Row("push", f"push {one}, one connection", "MiB/s", (times(0.95, CURL),)),
        Row("push-4", f"push {one}, four connections", "MiB/s", (times(0.95, CURL, row="push"),)),
        Row("pull", f"pull {one}, one connection", "MiB/s", (times(0.95, CURL),)),
        Row("pull-4", f"pull {one}, four connections", "MiB/s", (times(1, ARIA2),)),
        Row("sparse-up", f"push {wire}, bytes sent", "GiB", most, more=False, digits=2),
        Row("sparse-down", f"pull {wire}, bytes received", "GiB", most, more=False, digits=2),
        Row("help", "`calotype --help`", "s", (at_most(0.25, "s"),), more=False, digits=2),
        Row("memory", "peak RSS of the command", "MiB", (at_most(100, "MiB"),), more=False),
    ]


def main() -> None:
    """Measure everything, and publish the table."""
    options = read_options()
    figures = Figures()
    with common.run_folder(options.memory) as folder, Server(folder / "data") as server:
        measured = Measured(server, folder, figures)
        source = folder / "image.raw"
        write_random(source, options.size)
        for _ in range(options.rounds):
            measured.uploads(source)
            measured.downloads(source)
            measured.help()
        source.unlink()
        measured.sparse(options.sparse)
    publish(figures, options)


def publish(figures: Figures, options: argparse.Namespace) -> None:
    """Print the table. If the run was not a quick one, write the page."""
    columns = {US: "calotype", CURL: CURL, ARIA2: ARIA2}
    table = peers_table.table(rows(options.size, options.sparse), columns, figures)
    kind = "A quick run, which says little; m" if options.quick else "M"
    heading = (
        f"{kind}edians of {options.rounds} rounds (least to most). The time of `calotype` includes its start "
        f"and its verification. Before the run, the machine's load average was {options.load:.1f}."
    )
    print("\n\n".join([machine(), heading, table]))
    if not options.quick:
        note = "[Performance](../performance.md#the-command) describes the measurements."
        write_page(PAGE, "The command", "make bench-command", note, heading, table)


def read_options() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=4096, help="MiB of the file; default: %(default)s")
    parser.add_argument("--sparse", type=int, default=10240, help="MiB of the disk; default: %(default)s")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory", type=Path, default=Path("/dev/shm"), help="folder for all files")
    parser.add_argument("--quick", action="store_true", help="small files, one round, and only print")
    options = parser.parse_args()
    options.load = os.getloadavg()[0]
    if options.quick:
        options.size, options.sparse, options.rounds = 512, 1024, 1
    options.size, options.sparse = options.size * MIB, options.sparse * MIB
    return options


if __name__ == "__main__":
    main()
