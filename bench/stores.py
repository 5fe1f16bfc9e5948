"""Measure the memory of uploads without a length to S3 and Swift, if the store is slower than the client.

Both stores are one real Swift with an S3 API on this machine, which tests/servers starts. `python
bench/stores.py` measures only this; bench/remote.py measures the speed of both stores.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from report import Report
from testservers import common
from throttle import Throttle

from server import ROOT, Server, change_ini

SERVERS = ROOT / "tests" / "servers"
#: Where our stores keep their images. In Swift, a bucket is a container, and two stores cannot share one.
BUCKET, CONTAINER = "images-in-s3", "images-in-swift"
BLOCK = 1 << 20
#: The rate of the slow store in bytes per second.
SLOW = 50_000_000


def measure_stores(report: Report, folder: Path, unknown: int) -> None:
    """Measure uploads of `unknown` bytes without a length to each store."""
    folder.mkdir()
    with started_backend("swift", folder / "swift") as settings:
        target = urlsplit(settings["S3_ENDPOINT"])
        with Throttle(target.hostname, target.port, SLOW) as slow:
            for store in ("s3", "swift"):
                keys = store_settings(settings, slow.url)
                # A place belongs to one database, so each server has only the store that it uses.
                keys = {key: text for key, text in keys.items() if key.startswith(f"store.{store}.")}
                ini = change_ini(folder / f"{store}.ini", {"app:main": keys})
                with Server(folder / f"slow-{store}", ini) as server:
                    report.peak(f"{store}, at start", server.peak_memory())
                    _upload_unknown(server, store, unknown)
                    report.peak(f"{store}, {unknown >> 20:,} MiB", server.peak_memory())
    report.note(f"peak memory: uploads of unknown length to a store that takes {SLOW // 1_000_000} MB/s")


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


@contextlib.contextmanager
def started_backend(name: str, folder: Path) -> Iterator[dict[str, str]]:
    """Run the server `name` of tests/servers, which speaks S3 and Swift, and return its settings."""
    script = SERVERS / name
    try:
        done = subprocess.run([script, "start", folder], check=True, stdout=subprocess.PIPE, text=True)
        yield dict(line.split("=", 1) for line in done.stdout.splitlines())
    finally:
        subprocess.run([script, "stop", folder], check=True)


def store_settings(settings: Mapping[str, str], address: str) -> dict[str, str]:
    """Return the keys of a store for S3 and one for Swift, both at `address`, with default options."""
    backend = settings["S3_ENDPOINT"]
    stores = {
        "s3": {
            "endpoint_url": address,
            "region": settings["S3_REGION"],
            "access_key": settings["S3_ACCESS_KEY"],
            "secret_key": settings["S3_SECRET_KEY"],
            "bucket": BUCKET,
        },
        "swift": {
            "auth_version": "1",
            "auth_url": settings["SWIFT_AUTH_URL"].replace(backend, address),
            "user": settings["SWIFT_USER"],
            "key": settings["SWIFT_KEY"],
            "container": CONTAINER,
        },
    }
    if address != backend:
        stores["swift"]["endpoint"] = f"{address}/v1/AUTH_test"
    return {
        f"store.{name}.{option}": value
        for name, options in stores.items()
        for option, value in {**options, "create": "true"}.items()
    }


def main() -> None:
    """Measure only the stores."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--unknown", type=int, default=10240, metavar="MIB", help="upload of unknown length")
    parser.add_argument("--dir", type=Path, help="the folder for the files (the system's temporary folder)")
    options = parser.parse_args()
    report = Report()
    with common.run_folder(options.dir) as folder:
        measure_stores(report, folder / "stores", options.unknown << 20)
    report.show()


if __name__ == "__main__":
    main()
