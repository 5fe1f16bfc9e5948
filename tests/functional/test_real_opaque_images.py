"""Kernels, disks, volumes and discs that Debian's own tools made, through each dialect and each declaration.

`make test` uses the small files of tests/support/opaque.py instead.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.functional.storing import DIALECTS, by_classic, by_type, imported, stage
from tests.servers.common import Unavailable, apt, installed
from tests.support.debian import unpack
from tests.support.server import Server

pytestmark = pytest.mark.campaign

TOOLS = "gdisk dosfstools exfatprogs ntfs-3g cryptsetup-bin udftools mmdebstrap qemu-utils e2fsprogs"
PACKERS = "gzip xz-utils bzip2 zstd lz4 zip"
#: Debian packages, and the names of the files in them that are images.
PACKAGES = {
    "debian-installer-12-netboot-amd64": {
        "installer's kernel": "**/text/debian-installer/amd64/linux",
        "installer's ramdisk": "**/text/debian-installer/amd64/initrd.gz",
    },
    "memtest86+": {"memtest86+": "boot/memtest86+x64.bin", "memtest86+ for UEFI": "boot/memtest86+x64.efi"},
    "syslinux-common": {"memdisk": "usr/lib/syslinux/memdisk"},
    "ipxe": {"iPXE's kernel": "**/ipxe.lkrn", "iPXE's disc": "**/ipxe.iso"},
    "grub-rescue-pc": {
        "GRUB's rescue disc": "**/grub-rescue-cdrom.iso",
        "GRUB's rescue floppy": "**/grub-rescue-floppy.img",
        "GRUB's rescue stick": "**/grub-rescue-usb.img",
    },
}
CLOUD = "linux-image-cloud-amd64"
KERNELS = {
    "cloud kernel": "aki",
    "installer's kernel": "aki",
    "memtest86+": "aki",
    "memtest86+ for UEFI": "aki",
    "memdisk": "aki",
    "iPXE's kernel": "aki",
    "installer's ramdisk": "ari",
}
DISCS = ["iPXE's disc", "GRUB's rescue disc"]
RAW = ["GRUB's rescue floppy", "GRUB's rescue stick"]


def run(*command: str | Path) -> None:
    """Run a tool, and show its output if it fails."""
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, (command, done.stdout, done.stderr)


def empty(path: Path, mebibytes: int) -> Path:
    """Create a file of zeroes."""
    with path.open("wb") as file:
        file.truncate(mebibytes << 20)
    return path


def made_by(mebibytes: int, *command: str) -> Callable[[Path], None]:
    """Return a function that lets a tool write into a file of zeroes; PATH stands for the file."""

    def make(path: Path) -> None:
        empty(path, mebibytes)
        run(*(word.replace("PATH", str(path)) for word in command))

    return make


def make_empty_mbr(path: Path) -> None:
    """The smallest case: 512 zero bytes that end in `55 AA`."""
    path.write_bytes(bytes(510) + b"\x55\xaa")


def make_hybrid(path: Path) -> None:
    """A GPT with two partitions, one of which the MBR has too."""
    empty(path, 8)
    run("sgdisk", "-n", "1:2048:4095", "-n", "2:4096:6143", "-t", "1:0700", "-h", "1", path)


def luks(version: str) -> Callable[[Path], None]:
    """A LUKS volume of that version; its key is a constant."""

    def make(path: Path) -> None:
        empty(path, 20)
        key = path.with_suffix(".key")
        key.write_text("not a secret")
        fast = ("--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", "--batch-mode", "--key-file", key)
        run("cryptsetup", "luksFormat", "--type", version, *fast, path)

    return make


def make_debian(path: Path) -> None:
    """A disk with a GPT, and on it a file system with Debian's packages unpacked."""
    tree, volume = path.with_suffix(".tree"), path.with_suffix(".ext4")
    run("mmdebstrap", "--quiet", "--variant=extract", "--mode=root", "bookworm", tree)
    empty(volume, 400)
    run("mkfs.ext4", "-q", "-d", tree, volume)
    shutil.rmtree(tree)
    empty(path, 402)
    run("sgdisk", "-n", "1:2048:821247", path)
    run("dd", f"if={volume}", f"of={path}", "bs=1M", "seek=1", "conv=notrunc,sparse", "status=none")


VOLUMES: dict[str, Callable[[Path], None]] = {
    "empty MBR": make_empty_mbr,
    "hybrid GPT": make_hybrid,
    "GPT": made_by(8, "sgdisk", "-n", "1:2048:4095", "PATH"),
    "FAT floppy": lambda path: run("mkfs.fat", "-C", path, "1440"),
    "FAT32": made_by(40, "mkfs.fat", "-F", "32", "PATH"),
    "exFAT": made_by(8, "mkfs.exfat", "PATH"),
    "NTFS": made_by(8, "mkntfs", "-F", "-q", "-H", "16", "-S", "63", "-p", "0", "-s", "512", "PATH"),
    "ext4": made_by(8, "mkfs.ext4", "-q", "PATH"),
    "LUKS 1": luks("luks1"),
    "LUKS 2": luks("luks2"),
    "UDF on a disk": made_by(8, "mkudffs", "--media-type=hd", "--blocksize=512", "PATH"),
    "Debian's disk": make_debian,
}
UDF = {
    "UDF": made_by(8, "mkudffs", "--media-type=dvdram", "--blocksize=2048", "PATH"),
    "UDF of 4 KiB": made_by(8, "mkudffs", "--media-type=hd", "--blocksize=4096", "PATH"),
}
QCOW2 = {
    "qcow2": (),
    "qcow2 with extended L2": ("-o", "extended_l2=on,cluster_size=128k"),
    "qcow2 with extended L2, compressed": ("-c", "-o", "extended_l2=on,compression_type=zstd"),
}
PACKED = {
    "gzip": "gzip -c {}",
    "xz": "xz -1 -c {}",
    "bzip2": "bzip2 -c {}",
    "zstd": "zstd -q -c {}",
    "lz4": "lz4 -q -c {}",
    "zip": "zip -q - {}",
}


@dataclass
class Images:
    """The files, and a table of the outcomes."""

    folder: Path
    packages: Path
    rows: list[str]

    def made(self, name: str, make: Callable[[Path], None]) -> bytes:
        """Return the bytes of a file, which is created once."""
        path = self.folder / name.replace(" ", "-").replace("'", "")
        if not path.exists():
            make(path)
        return path.read_bytes()

    def qcow2(self, name: str) -> bytes:
        """A qcow2 of the hybrid disk."""
        self.made("hybrid GPT", make_hybrid)
        source = self.folder / "hybrid-GPT"
        return self.made(
            name, lambda path: run("qemu-img", "convert", "-O", "qcow2", *QCOW2[name], source, path)
        )

    def from_package(self, name: str) -> bytes:
        """A file of a Debian package."""
        patterns = {file: pattern for files in PACKAGES.values() for file, pattern in files.items()}
        pattern = "cloud/**/vmlinuz-*" if name == "cloud kernel" else patterns[name]
        return next(path for path in self.packages.rglob(pattern) if path.is_file()).read_bytes()

    def note(self, name: str, declared: str, outcomes: dict[str, str]) -> None:
        """Add a row to the table."""
        self.rows.append(f"| {name} | {declared} | " + " | ".join(outcomes.values()) + " |")


def _fetch(folder: Path) -> None:
    for package in PACKAGES:
        unpack(package, folder / package)
    listed = subprocess.run(["apt-cache", "depends", "-i", CLOUD], capture_output=True, text=True, check=True)
    kernel = next(word for word in listed.stdout.split() if word.startswith("linux-image-") and word != CLOUD)
    unpack(kernel, folder / "cloud")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Images]:
    """Install the tools and fetch the packages; at the end, print the table."""
    try:
        apt(*TOOLS.split(), *PACKERS.split())
    except Unavailable as lack:
        if "CI" in os.environ:
            raise
        pytest.skip(str(lack))
    packages = installed("opaque-images", f"{PACKAGES} {CLOUD}", _fetch)
    found = Images(tmp_path_factory.mktemp("opaque"), packages, [])
    yield found
    print("\n| file | declared | classic | v1 | v2 | staged |\n| --- | --- | --- | --- | --- | --- |")
    print("\n".join(found.rows))


def outcomes(server: Server, data: bytes, disk: str, container: str) -> dict[str, str]:
    """Return "taken" or the refusal for each dialect."""
    formats = {"disk_format": disk, "container_format": container}
    found = {name: store(server, data, **formats) for name, store in DIALECTS.items()}
    found["staged"] = imported(server, stage(server, data, **formats))
    return {name: "taken" if one.taken else one.why for name, one in found.items()}


def try_all(
    images: Images, server: Server, name: str, data: bytes, right: dict[str, str], wrong: str
) -> None:
    """Declare an image correctly in each way, then wrongly, then not at all."""
    for disk, container in right.items():
        found = outcomes(server, data, disk, container)
        images.note(name, f"{disk}/{container}", found)
        assert set(found.values()) == {"taken"}, (disk, found)
    found = outcomes(server, data, wrong, "bare")
    assert all(f"The image is declared as {wrong}, but it " in why for why in found.values()), found
    images.note(name, f"{wrong}/bare", dict.fromkeys(found, "refused"))
    undeclared = by_classic(server, data)
    assert undeclared.taken, undeclared.why
    images.note(name, "nothing (the others need formats)", {"classic": "taken", **dict.fromkeys("123", "-")})


@pytest.mark.parametrize(("name", "kind"), KERNELS.items())
def test_a_kernel_or_a_ramdisk_is_accepted(images: Images, server: Server, name: str, kind: str) -> None:
    """r1-B1"""
    data = images.from_package(name)
    try_all(images, server, name, data, {kind: kind, "raw": "bare"}, "qcow2")
    assert by_type(server, data, disk_format=kind).taken


@pytest.mark.parametrize("name", DISCS)
def test_a_disc_that_also_boots_from_a_disk_is_accepted(images: Images, server: Server, name: str) -> None:
    """r1-B1"""
    try_all(images, server, name, images.from_package(name), {"iso": "bare", "raw": "bare"}, "vmdk")


@pytest.mark.parametrize("name", RAW)
def test_a_boot_disk_is_accepted(images: Images, server: Server, name: str) -> None:
    """r1-B1"""
    try_all(images, server, name, images.from_package(name), {"raw": "bare"}, "vdi")


@pytest.mark.parametrize("name", VOLUMES)
def test_a_disk_or_a_volume_is_accepted(images: Images, server: Server, name: str) -> None:
    """r1-B1"""
    data = images.made(name, VOLUMES[name])
    try_all(images, server, name, data, {"raw": "bare", "ami": "ami"}, "vhdx")


@pytest.mark.parametrize("name", UDF)
def test_a_disc_with_only_udf_is_accepted_as_a_disc(images: Images, server: Server, name: str) -> None:
    """r1-B7"""
    data = images.made(name, UDF[name])
    try_all(images, server, name, data, {"iso": "bare", "raw": "bare"}, "qcow2")


@pytest.mark.parametrize("name", QCOW2)
def test_a_qcow2_is_accepted_but_not_as_raw(images: Images, server: Server, name: str) -> None:
    """r1-B7"""
    try_all(images, server, name, images.qcow2(name), {"qcow2": "bare", "raw": "ovf"}, "raw")


@pytest.mark.parametrize("name", PACKED)
def test_a_compressed_disk_is_named_by_its_compression(images: Images, server: Server, name: str) -> None:
    """r1-B10, r1-G3"""
    images.qcow2("qcow2")
    command = PACKED[name].format(images.folder / "qcow2")
    data = subprocess.run(command.split(), capture_output=True, check=True).stdout
    found = outcomes(server, data, "qcow2", "bare")
    assert all(f"looks like a file compressed with {name}: decompress it" in why for why in found.values())
    right = {"qcow2": "compressed", "raw": "bare"}
    try_all(images, server, f"{name} of a qcow2", data, right, "qcow2")
