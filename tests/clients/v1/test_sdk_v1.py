"""Unmodified openstacksdk with its Images v1 proxy: check 120."""

from __future__ import annotations

import os
from pathlib import Path

from tests.clients.v1.programs_of import Programs
from tests.support.v1 import V1


def test_120_every_call_of_the_sdk_succeeds(programs: Programs, tmp_path: Path) -> None:
    client = V1(programs.server, programs.token or None)
    for number in range(60):
        client.make(name=f"many-{number}")
    disk = tmp_path / "disk.raw"
    disk.write_bytes(os.urandom(100_000))
    assert programs.sdk("sdk_v1.py", str(disk)) == {
        "api": "1",
        "created from a file": ["active", 100_000, "5"],
        "created from data": ["sdk-data", "active"],
        "more than a page": True,
        "listed": True,
        "listed by the cloud layer": True,
        "filtered": ["sdk-data"],
        "pages": True,
        "found by name": "sdk-file",
        "found by id": "sdk-file",
        "not found": None,
        "got": ["sdk-file", "active", 100_000],
        "updated": ["renamed", "5"],
        "property update answers": True,
        "downloaded": True,
        "downloaded to a file": True,
        "downloaded as a stream": True,
        "reserved": ["sdk-reserved", "queued"],
        "deleted renamed": True,
        "deleted sdk-data": True,
        "deleted sdk-reserved": True,
        "left": [],
    }
