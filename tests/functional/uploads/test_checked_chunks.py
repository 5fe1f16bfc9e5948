"""Chunks with declared checksums: until the check, no byte is in the store, and each counts for the quota."""

from __future__ import annotations

import base64
import hashlib
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.functional.uploads.test_concatenation import part
from tests.functional.uploads.test_tus import assert_stored
from tests.support.server import Server, write_ini
from tests.support.uploads import TusClient

MIB = 1 << 20
DATA = random.Random(1).randbytes(30 * MIB)


def checksum(data: bytes) -> str:
    return f"sha256 {base64.b64encode(hashlib.sha256(data).digest()).decode()}"


@pytest.fixture(scope="module")
def tus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TusClient]:
    """A server with a quota of 40 MiB and three upload sessions."""
    folder = tmp_path_factory.mktemp("quota")
    settings = {"calotype.project_bytes": f"{40 * MIB}", "calotype.project_uploads": "3"}
    running = Server(folder, write_ini(folder, settings))
    yield TusClient(running)
    running.stop()


@pytest.fixture(autouse=True)
def empty(tus: TusClient) -> Iterator[None]:
    """Delete all images after each test."""
    yield
    for (image_id,) in tus.server.query("SELECT id FROM images WHERE status <> 'deleted'"):
        tus.request_as("DELETE", f"/images/{image_id}")


@pytest.mark.parametrize("checked", [False, True], ids=["without-checksums", "with-checksums"])
def test_an_upload_goes_on_with_other_chunks_after_one_that_was_refused(
    tus: TusClient, checked: bool
) -> None:
    path = tus.begin(len(DATA))
    assert tus.patch(path, 0, DATA, Upload_Checksum=checksum(b"other")).status == 460
    for start in range(0, len(DATA), 10 * MIB):
        block = DATA[start : start + 10 * MIB]
        headers = {"Upload_Checksum": checksum(block)} if checked else {}
        assert tus.patch(path, start, block, **headers).status == 204
    assert_stored(tus, path, DATA)


def test_a_chunk_of_unknown_length_cannot_exceed_the_quota_before_its_check(tus: TusClient) -> None:
    path = tus.begin(None)
    refused = tus.patch(path, 0, iter([DATA, DATA, DATA]), Upload_Checksum=checksum(b"other"))
    assert refused.status == 413, refused.text
    assert bytes_on_disk(tus.server.data_dir) < 40 * MIB
    assert tus.offset(path) == 0


def bytes_on_disk(folder: Path) -> int:
    return sum(file.stat().st_blocks * 512 for file in folder.rglob("*") if file.is_file())


def test_as_many_parts_as_a_project_may_have_can_be_concatenated(tus: TusClient) -> None:
    parts = [part(tus, DATA[:MIB]) for _ in range(3)]
    answer = tus.create({"Upload-Concat": f"final;{' '.join(parts)}"})
    assert answer.status == 201, answer.text
    assert_stored(tus, tus.path(answer), DATA[:MIB] * 3)
