"""Real disk images, created by real tools, stored, fetched, and checked by the same tools."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.servers.common import Unavailable, apt
from tests.support.server import OCTETS, Server, meta

MIB = 1 << 20


def run(*command: str | Path) -> str:
    """Run a tool, and return its output on both streams."""
    done = subprocess.run(
        list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="module", autouse=True)
def _tools() -> None:
    """Install qemu-img and xorriso as root, or skip; with CI set, fail."""
    try:
        apt("qemu-utils", "xorriso")
    except Unavailable as lack:
        if "CI" in os.environ:
            raise
        pytest.skip(str(lack))


def make_raw(path: Path) -> None:
    """A raw disk of 24 MiB: data, a hole, data."""
    run("qemu-img", "create", "-f", "raw", path, "24M")
    with path.open("r+b") as disk:
        disk.write(os.urandom(3 * MIB))
        disk.seek(20 * MIB)
        disk.write(os.urandom(MIB))


def make_qcow2(path: Path) -> None:
    """A compressed qcow2 of that disk."""
    raw = path.with_suffix(".source")
    make_raw(raw)
    run("qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2", raw, path)


def make_vmdk(path: Path) -> None:
    """A stream-optimised VMDK of that disk."""
    raw = path.with_suffix(".source")
    make_raw(raw)
    run("qemu-img", "convert", "-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized", raw, path)


def make_iso(path: Path) -> None:
    """An ISO 9660 file system with a few files."""
    tree = path.with_suffix(".tree")
    tree.mkdir()
    for number in range(3):
        (tree / f"file{number}").write_bytes(os.urandom(MIB))
    run("xorriso", "-as", "mkisofs", "-quiet", "-V", "CALOTYPE", "-r", "-J", "-o", path, tree)


def check_raw(path: Path) -> None:
    told = json.loads(run("qemu-img", "info", "--output=json", "-f", "raw", path))
    assert told["virtual-size"] == 24 * MIB


def check_qcow2(path: Path) -> None:
    assert "No errors were found" in run("qemu-img", "check", "-f", "qcow2", path)
    assert json.loads(run("qemu-img", "info", "--output=json", path))["format"] == "qcow2"
    assert "Images are identical" in run(
        "qemu-img", "compare", "-f", "qcow2", "-F", "raw", path, path.with_name("made.source")
    )


def check_vmdk(path: Path) -> None:
    assert json.loads(run("qemu-img", "info", "--output=json", path))["format"] == "vmdk"
    assert "Images are identical" in run(
        "qemu-img", "compare", "-f", "vmdk", "-F", "raw", path, path.with_name("made.source")
    )


def check_iso(path: Path) -> None:
    told = run("xorriso", "-indev", path, "-toc", "-find", "/", "-type", "f")
    assert "CALOTYPE" in told
    assert all(f"/file{number}" in told for number in range(3))
    back = path.with_suffix(".back")
    run("xorriso", "-osirrox", "on", "-indev", path, "-extract", "/", back)
    for number in range(3):
        name = f"file{number}"
        assert (back / name).read_bytes() == (path.with_name("made.tree") / name).read_bytes()


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize(
    ("disk_format", "make", "check"),
    [
        ("raw", make_raw, check_raw),
        ("qcow2", make_qcow2, check_qcow2),
        ("vmdk", make_vmdk, check_vmdk),
        ("iso", make_iso, check_iso),
    ],
    ids=["raw", "qcow2", "vmdk", "iso"],
)
def test_a_real_image_is_returned_unchanged(
    server: Server,
    tmp_path: Path,
    disk_format: str,
    make: Callable[[Path], None],
    check: Callable[[Path], None],
    chunked: bool,
) -> None:
    made, fetched = tmp_path / "made", tmp_path / "fetched"
    make(made)
    data = made.read_bytes()
    blocks = (data[at : at + 300_001] for at in range(0, len(data), 300_001))
    fields = meta(name=made.name, disk_format=disk_format, container_format="bare")
    image = server.post("/images", {**OCTETS, **fields}, blocks if chunked else data).image
    assert (image["size"], image["disk_format"]) == (len(data), disk_format)
    assert image["checksum"] == hashlib.md5(data).hexdigest()
    fetched.write_bytes(server.get(f"/images/{image['id']}").body)
    assert fetched.read_bytes() == data
    check(fetched)


def test_a_real_image_can_be_fetched_in_parts(server: Server, tmp_path: Path) -> None:
    made, fetched = tmp_path / "made", tmp_path / "fetched"
    make_qcow2(made)
    data = made.read_bytes()
    image_id = server.upload(data, disk_format="qcow2", container_format="bare")["id"]
    step = len(data) // 7 + 1
    with fetched.open("wb") as file:
        for start in range(0, len(data), step):
            part = server.get(f"/images/{image_id}", {"Range": f"bytes={start}-{start + step - 1}"})
            assert part.status == 206
            file.write(part.body)
    check_qcow2(fetched)
