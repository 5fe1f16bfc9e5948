"""Programs that read an image by its URL, in each dialect. Most of them send a HEAD request first.

curl and wget run in `make test`, the others as a campaign.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.servers.common import Unavailable, apt
from tests.support.server import OCTETS, Server, meta

MOUNTS = ("/images/{}", "/v1/images/{}", "/v1/images/{}/file", "/v2/images/{}/file")
MIB = 1 << 20


@dataclass(frozen=True)
class Kept:
    """An image on a server, and the file with the same bytes."""

    server: Server
    id: str
    file: Path

    def url(self, mount: str) -> str:
        return self.server.base + mount.format(self.id)


def needs(*packages: str) -> None:
    """Install Debian packages if this user is root. Without them, skip the test, or fail if CI is set."""
    try:
        apt(*packages)
    except Unavailable as lack:
        if "CI" in os.environ:
            raise
        pytest.skip(str(lack))


def run(*command: object, cwd: Path | None = None) -> str:
    """Run a program and return its output and errors."""
    done = subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env={**os.environ, "no_proxy": "*", "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, (command, done.stdout)
    return done.stdout


@pytest.fixture(scope="module")
def disk(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """A raw disk of 3 MiB."""
    file = tmp_path_factory.mktemp("disk") / "disk.raw"
    file.write_bytes(os.urandom(2 * MIB) + bytes(MIB))
    formats = meta(disk_format="raw", container_format="bare")
    return Kept(server, server.post("/images", {**OCTETS, **formats}, file.read_bytes()).image["id"], file)


@pytest.fixture(scope="module")
def qcow2(server: Server, disk: Kept) -> Kept:
    """A qcow2 image of 1 GiB."""
    needs("qemu-utils", "qemu-block-extra")
    file = disk.file.with_suffix(".qcow2")
    run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", disk.file, file)
    run("qemu-img", "resize", "-q", file, "1G")
    formats = meta(disk_format="qcow2", container_format="bare")
    return Kept(server, server.post("/images", {**OCTETS, **formats}, file.read_bytes()).image["id"], file)


def test_curl_reads_the_head_and_resumes_a_download(disk: Kept, tmp_path: Path) -> None:
    """r1-G10"""
    needs("curl")
    for number, mount in enumerate(MOUNTS):
        said = run("curl", "-sS", "-I", disk.url(mount)).lower()
        assert "content-length: 3145728" in said
        assert "accept-ranges: bytes" in said
        part = tmp_path / f"{number}"
        part.write_bytes(disk.file.read_bytes()[:MIB])
        run("curl", "-sS", "-f", "-C", "-", "-o", part, disk.url(mount))
        assert part.read_bytes() == disk.file.read_bytes()


def test_wget_fetches_an_unchanged_image_only_once(disk: Kept, tmp_path: Path) -> None:
    """r1-G6, r1-G10: `wget -N` does not fetch a file again while the image is unchanged."""
    needs("wget")
    for number, mount in enumerate(MOUNTS):
        assert "Length: 3145728" in run("wget", "--spider", disk.url(mount))
        folder = tmp_path / f"{number}"
        folder.mkdir()
        run("wget", "-N", disk.url(mount), cwd=folder)
        (fetched,) = folder.iterdir()
        assert fetched.read_bytes() == disk.file.read_bytes()
        begun = fetched.stat()
        assert disk.server.put(f"/images/{disk.id}", meta(name=f"name {number}")).status == 200
        assert "304 Not Modified" in run("wget", "-N", disk.url(mount), cwd=folder)
        assert fetched.stat() == begun


@pytest.mark.campaign
@pytest.mark.parametrize("mount", MOUNTS)
def test_qemu_img_inspects_and_converts_an_image_by_its_url(
    qcow2: Kept, disk: Kept, tmp_path: Path, mount: str
) -> None:
    """r1-B4, r1-G10: its curl driver requires a length and ranges in the response to HEAD."""
    found = json.loads(run("qemu-img", "info", "--output=json", qcow2.url(mount)))
    assert (found["format"], found["virtual-size"]) == ("qcow2", 1 << 30)
    raw = tmp_path / "converted.raw"
    run("qemu-img", "convert", "-O", "raw", qcow2.url(mount), raw)
    with raw.open("rb") as converted:
        assert converted.read(3 * MIB) == disk.file.read_bytes()
    run("qemu-img", "compare", "-f", "raw", "-F", "raw", disk.file, disk.url(mount))


@pytest.mark.campaign
@pytest.mark.parametrize("mount", MOUNTS)
def test_nbdkit_serves_an_image_as_a_disk(disk: Kept, tmp_path: Path, mount: str) -> None:
    """r1-G10: qemu-img reads the image through nbdkit's curl plugin."""
    needs("qemu-utils", "nbdkit")
    copy = tmp_path / "copy.raw"
    command = f'qemu-img convert -f raw -O raw "$uri" {shlex.quote(str(copy))}'
    run("nbdkit", "-r", "-U", "-", "curl", disk.url(mount), "--run", command)
    assert copy.read_bytes() == disk.file.read_bytes()


@pytest.mark.campaign
@pytest.mark.parametrize("mount", MOUNTS)
def test_aria2c_fetches_an_image_in_parts_and_only_once(disk: Kept, tmp_path: Path, mount: str) -> None:
    """r1-G10"""
    needs("aria2")
    options = ("--use-head=true", "--split=3", "--min-split-size=1M", "--conditional-get=true", "--out=disk")
    fetch = ("aria2c", "--allow-overwrite=true", "--remote-time=true", *options, disk.url(mount))
    run(*fetch, cwd=tmp_path)
    assert (tmp_path / "disk").read_bytes() == disk.file.read_bytes()
    assert "304" in run(*fetch, "--log-level=info", "--log=-", cwd=tmp_path)
