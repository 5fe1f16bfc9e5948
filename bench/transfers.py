"""Measure uploads and downloads of a large image, compared with `cp` and `sha256sum` of the same file."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from report import Report
from timing import Timing

from client import Client
from server import Server

BLOCK = 1 << 20


def measure_transfers(report: Report, server: Server, folder: Path, size: int, rounds: int) -> None:
    """Measure uploads and downloads of an image of `size` bytes.

    Each image is deleted before the next upload, so the disk holds at most three files of this size.
    """
    source, copy = folder / "image.raw", folder / "copy.raw"
    write_random(source, size)
    base, upload, download = Timing(server), Timing(server), Timing(server)
    with Client(server) as client:
        for _ in range(rounds):
            with base.round():
                _copy_and_hash(source, copy)
            copy.unlink()
            with upload.round():
                image_id = client.upload(source)["id"]
            with download.round():
                client.download(image_id, copy)
            if copy.stat().st_size != size:
                raise SystemExit(f"downloaded {copy.stat().st_size} bytes of {size}")
            copy.unlink()
            client.ask("DELETE", f"/images/{image_id}")
    source.unlink()
    report.transfer("cp + sha256sum", size, base.seconds, ratio=1)
    for name, timing in (("upload", upload), ("download", download)):
        report.transfer(name, size, timing.seconds, base.seconds / timing.seconds, timing.cpu)


def _copy_and_hash(source: Path, copy: Path) -> None:
    subprocess.run(["cp", source, copy], check=True)
    subprocess.run(["sha256sum", copy], check=True, stdout=subprocess.DEVNULL)


def write_random(path: Path, size: int) -> None:
    """Write a file of random bytes, and sync it to the disk."""
    with path.open("wb") as file:
        for _ in range(size // BLOCK):
            file.write(os.urandom(BLOCK))
        file.flush()
        os.fsync(file.fileno())
