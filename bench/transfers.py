"""How fast a large image goes in and out, held against `cp` and `sha256sum` of the same file."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from client import Client
from report import Report
from server import Server

BLOCK = 1 << 20


def measure_transfers(report: Report, server: Server, folder: Path, size: int, rounds: int) -> None:
    """Upload and download an image of `size` bytes, deleting each before the next: the disk holds three."""
    source, copy = folder / "image.raw", folder / "copy.raw"
    _write_random(source, size)
    took: dict[str, list[float]] = {"cp + sha256sum": [], "upload": [], "download": []}
    with Client(server) as client:
        for _ in range(rounds):
            took["cp + sha256sum"].append(_timed(lambda: _copy_and_hash(source, copy)))
            copy.unlink()
            images: list[str] = []
            took["upload"].append(_timed(lambda images=images: images.append(client.upload(source)["id"])))
            took["download"].append(_timed(lambda images=images: client.download(images[0], copy)))
            if copy.stat().st_size != size:
                raise SystemExit(f"downloaded {copy.stat().st_size} bytes of {size}")
            copy.unlink()
            client.ask("DELETE", f"/images/{images[0]}")
    source.unlink()
    base = median(took["cp + sha256sum"])
    for name, seconds in took.items():
        report.transfer(name, size, median(seconds), ratio=base / median(seconds))


def _timed(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def _copy_and_hash(source: Path, copy: Path) -> None:
    subprocess.run(["cp", source, copy], check=True)
    subprocess.run(["sha256sum", copy], check=True, stdout=subprocess.DEVNULL)


def _write_random(path: Path, size: int) -> None:
    with path.open("wb") as file:
        for _ in range(size // BLOCK):
            file.write(os.urandom(BLOCK))
        file.flush()
        os.fsync(file.fileno())
