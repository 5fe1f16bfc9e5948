"""Measure transfers of a large image to and from S3 and Swift, compared with boto3 and the command `swift`.

Both stores are one real Swift with an S3 API on this machine, which tests/servers starts. Transfers that are
compared alternate. `python bench/stores.py` measures only these transfers.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import boto3
from client import Client
from report import Report
from testservers import common
from throttle import Throttle
from timing import Timing
from transfers import write_random

from server import ROOT, Server, change_ini

SWIFT = ROOT / "tests" / "servers" / "swift"
PLACE = "bench"
BLOCK = 1 << 20
#: The rate of the slow store in bytes per second.
SLOW = 50_000_000


@dataclass(frozen=True)
class Rival:
    """A program that transfers directly: `upload` from a file, `download` to a file, and `remove`."""

    name: str
    upload: Callable[[Path], object]
    download: Callable[[Path], object]
    remove: Callable[[], object]


def measure_stores(report: Report, folder: Path, size: int, rounds: int, unknown: int) -> None:
    """Measure transfers of `size` bytes with each store, then uploads of `unknown` bytes without a length."""
    folder.mkdir()
    with started_swift(folder / "swift") as settings:
        ini = write_stores_ini(folder / "stores.ini", settings, settings["S3_ENDPOINT"])
        source = folder / "image.raw"
        write_random(source, size)
        with Server(folder / "data", ini) as server:
            for store, rival in (("s3", boto3_rival(settings)), ("swift", swift_rival(settings))):
                _compare(report, server, store, rival, source, rounds)
        source.unlink()
        target = urlsplit(settings["S3_ENDPOINT"])
        with Throttle(target.hostname, target.port, SLOW) as slow:
            ini = write_stores_ini(folder / "slow.ini", settings, slow.url)
            for store in ("s3", "swift"):
                with Server(folder / f"slow-{store}", ini) as server:
                    report.peak(f"{store}, at start", server.peak_memory())
                    _upload_unknown(server, store, unknown)
                    report.peak(f"{store}, {unknown >> 20:,} MiB", server.peak_memory())
    report.note("ratio of S3 and Swift: speed relative to boto3 or `swift` with the same store")
    report.note(f"peak memory: uploads of unknown length to a store that takes {SLOW // 1_000_000} MB/s")


def _compare(report: Report, server: Server, store: str, rival: Rival, source: Path, rounds: int) -> None:
    """Measure rounds of uploads and downloads in which the program and Calotype alternate."""
    copy, size = source.with_name("copy.raw"), source.stat().st_size
    timings = {(who, way): Timing(server) for who in ("they", "we") for way in ("upload", "download")}
    with Client(server) as client:
        for _ in range(rounds):
            with timings["they", "upload"].round():
                rival.upload(source)
            with timings["we", "upload"].round():
                image_id = client.upload(source, x_image_meta_store=store)["id"]
            with timings["they", "download"].round():
                rival.download(copy)
            _expect(copy, size)
            with timings["we", "download"].round():
                client.download(image_id, copy)
            _expect(copy, size)
            rival.remove()
            client.ask("DELETE", f"/images/{image_id}")
    for way in ("upload", "download"):
        they, we = timings["they", way], timings["we", way]
        report.transfer(f"{store}: {rival.name}, {way}", size, they.seconds, ratio=1)
        report.transfer(f"{store}: {way}", size, we.seconds, they.seconds / we.seconds, we.cpu)


def _expect(copy: Path, size: int) -> None:
    if copy.stat().st_size != size:
        raise SystemExit(f"downloaded {copy.stat().st_size} bytes of {size}")
    copy.unlink()


def _upload_unknown(server: Server, store: str, size: int) -> None:
    """Send this many bytes in chunks, as fast as the server accepts them, and delete the image."""
    block = os.urandom(BLOCK)
    fields = {"Content-Type": "application/octet-stream", "Transfer-Encoding": "chunked"}
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=600)) as connection:
        blocks = (block for _ in range(size // BLOCK))
        connection.request(
            "POST", "/images", blocks, {**fields, "x-image-meta-store": store}, encode_chunked=True
        )
        answer = connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise SystemExit(f"upload of unknown length to {store}: {answer.status} {text.decode()}")


def boto3_rival(settings: Mapping[str, str]) -> Rival:
    """Return boto3 with its default settings."""
    client = boto3.session.Session().client(
        "s3",
        endpoint_url=settings["S3_ENDPOINT"],
        region_name=settings["S3_REGION"],
        aws_access_key_id=settings["S3_ACCESS_KEY"],
        aws_secret_access_key=settings["S3_SECRET_KEY"],
    )
    client.create_bucket(Bucket=PLACE)

    def upload(path: Path) -> None:
        with path.open("rb") as file:
            client.upload_fileobj(file, PLACE, "rival")

    def download(path: Path) -> None:
        with path.open("wb") as file:
            client.download_fileobj(PLACE, "rival", file)

    return Rival("boto3", upload, download, lambda: client.delete_object(Bucket=PLACE, Key="rival"))


def swift_rival(settings: Mapping[str, str]) -> Rival:
    """Return the command `swift` with its default settings. Its start is measured, too."""
    command = [Path(sys.executable).with_name("swift"), "--auth", settings["SWIFT_AUTH_URL"]]
    command += ["--user", settings["SWIFT_USER"], "--key", settings["SWIFT_KEY"]]

    def run(*arguments: str | Path) -> None:
        subprocess.run([*command, *arguments], check=True, stdout=subprocess.DEVNULL)

    return Rival(
        "swift",
        lambda path: run("upload", "rivals", path, "--object-name", "rival"),
        lambda path: run("download", "rivals", "rival", "--output", path),
        lambda: run("delete", "rivals", "rival"),
    )


@contextlib.contextmanager
def started_swift(folder: Path) -> Iterator[dict[str, str]]:
    """Run a Swift with an S3 API, and return its settings."""
    try:
        done = subprocess.run([SWIFT, "start", folder], check=True, stdout=subprocess.PIPE, text=True)
        yield dict(line.split("=", 1) for line in done.stdout.splitlines())
    finally:
        subprocess.run([SWIFT, "stop", folder], check=True)


def write_stores_ini(path: Path, settings: Mapping[str, str], address: str) -> Path:
    """Write calotype.ini with a store for S3 and one for Swift, both at `address`, with default options."""
    stores = {
        "s3": {
            "endpoint_url": address,
            "region": settings["S3_REGION"],
            "access_key": settings["S3_ACCESS_KEY"],
            "secret_key": settings["S3_SECRET_KEY"],
            "bucket": "images",
        },
        "swift": {
            "auth_version": "1",
            "auth_url": settings["SWIFT_AUTH_URL"].replace(settings["SWIFT_URL"], address),
            "user": settings["SWIFT_USER"],
            "key": settings["SWIFT_KEY"],
            "endpoint": f"{address}/v1/AUTH_test",
        },
    }
    changed = {
        f"store.{name}.{option}": value
        for name, options in stores.items()
        for option, value in {**options, "create": "true"}.items()
    }
    return change_ini(path, {"app:main": changed})


def main() -> None:
    """Measure only the stores."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=1024, metavar="MIB", help="size of the image (1024)")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="rounds of each figure (5)")
    parser.add_argument("--unknown", type=int, default=10240, metavar="MIB", help="upload of unknown length")
    parser.add_argument("--dir", type=Path, help="the folder for the files (the system's temporary folder)")
    options = parser.parse_args()
    report = Report()
    with common.run_folder(options.dir) as folder:
        measure_stores(report, folder / "stores", options.size << 20, options.rounds, options.unknown << 20)
    report.show()


if __name__ == "__main__":
    main()
