"""Verdicts on disk images, made here byte by byte and by qemu-img: IMG-1 to IMG-10."""

from __future__ import annotations

import itertools
import os
import re
import struct
import subprocess
import tracemalloc
import uuid
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from oslo_utils.imageutils import format_inspector

from calotype.transfers.disk_formats import mismatch
from calotype.transfers.inspection import Inspector, InspectorsUnavailable, Verdict
from tests.servers.common import Unavailable, apt
from tests.support import opaque

MIB = 1 << 20
CAP = 64 << 40
HUGE = 1 << 62
DESCRIPTOR = b"""# Disk DescriptorFile
version=1
CID=3a130121
parentCID=ffffffff
createType="monolithicSparse"
# Extent description
RW 49152 SPARSE "disk.vmdk"
ddb.adapterType = "ide"
"""


def judge(data: bytes, declared: str | None = None, step: int = 1 << 18) -> Verdict:
    """Return the verdict on bytes that come in blocks of `step`, which an early refusal never contradicts."""
    inspector = Inspector(declared, virtual_size_cap=CAP)
    for at in range(0, len(data), step):
        inspector.update(data[at : at + step])
    early, verdict = inspector.early_problem, inspector.verdict()
    assert early is None or verdict.problem is not None
    return verdict


def padded(data: bytes | bytearray, size: int) -> bytes:
    return bytes(data).ljust(size, b"\0")


def qcow2(
    *, backing: bytes = b"", version: int = 3, features: int = 0, size: int = MIB, length: int = 65536
) -> bytes:
    header = bytearray(max(length, 104))
    where = (104 if version > 2 else 72) if backing else 0
    struct.pack_into(">4sIQIIQ", header, 0, b"QFI\xfb", version, where, len(backing), 16, size)
    if version > 2:
        struct.pack_into(">QQQII", header, 72, features, 0, 0, 4, 104)
    header[where or 104 : (where or 104) + len(backing)] = backing
    return bytes(header[:length])


def vmdk(
    descriptor: bytes = DESCRIPTOR, *, sectors: int = 2048, version: int = 1, at: int = 1, length: int = 20
) -> bytes:
    header = struct.pack("<4sIIQQQQIQQ", b"KDMV", version, 3, sectors, 128, at, length, 512, 21, 26)
    return padded(padded(header, 512 * at) + padded(descriptor, 512 * min(length, 20)), 65536)


def vhd_footer(*, size: int = MIB, original: int = MIB, kind: int = 2) -> bytes:
    footer = bytearray(512)
    struct.pack_into(">8sIIQ", footer, 0, b"conectix", 2, 0x10000, 0xFFFFFFFFFFFFFFFF)
    struct.pack_into(">QQ", footer, 40, original, size)
    struct.pack_into(">I", footer, 60, kind)
    return bytes(footer)


def vdi(*, size: int = MIB, kind: int = 1) -> bytes:
    header = bytearray(65536)
    struct.pack_into("<II", header, 0x40, 0xBEDA107F, 0x10001)
    struct.pack_into("<I", header, 0x4C, kind)
    struct.pack_into("<Q", header, 0x170, size)
    return bytes(header)


def vhdx(*, size: int = MIB, parent: bool = False, item_length: int = 8, entries: int = 1) -> bytes:
    data = bytearray(3 * MIB)
    data[:8] = b"vhdxfile"
    guid = uuid.UUID("8B7CA206-4790-4B9A-B8FE-575F050F886E").bytes_le
    struct.pack_into("<4sIII", data, 0x30000, b"regi", 0, entries, 0)
    struct.pack_into("<16sQII", data, 0x30010 + 32 * (entries - 1), guid, 2 * MIB, MIB, 1)
    items = [(uuid.UUID("2FA54224-CD1B-4876-B211-5DBED83BF4B8").bytes_le, 65536, item_length)]
    if parent:
        items.append((uuid.UUID("A8D35F2D-B30B-454D-ABF7-D3D84834AB0C").bytes_le, 65544, 20))
    struct.pack_into("<8sHH", data, 2 * MIB, b"metadata", 0, len(items))
    for number, (item, where, length) in enumerate(items):
        struct.pack_into("<16sIII", data, 2 * MIB + 32 + 32 * number, item, where, length, 0)
    struct.pack_into("<Q", data, 2 * MIB + 65536, size)
    return bytes(data)


def iso(front: bytes = b"") -> bytes:
    """Return an ISO 9660 of 20 sectors; `front` fills the bytes that a disc does not use."""
    data = bytearray(padded(front, 40 * 1024))
    struct.pack_into("<B5sB", data, 32 * 1024, 1, b"CD001", 1)
    struct.pack_into("<L", data, 32 * 1024 + 80, 20)
    struct.pack_into("<H", data, 32 * 1024 + 128, 2048)
    return bytes(data)


def with_mbr(data: bytes) -> bytes:
    """Return the same with a partition table of one partition in its first sector."""
    sector = bytearray(padded(data[:512], 512))
    struct.pack_into("<B3sB3sII", sector, 446, 0x80, b"\1\1\0", 0x83, b"\xfe\xff\xff", 63, 1000)
    sector[462:510] = bytes(48)
    sector[510:512] = b"\x55\xaa"
    return bytes(sector) + data[512:]


DISK = os.urandom(8 * MIB // 4)

REFUSED = {
    "IMG-1 qcow2 with a backing file": qcow2(backing=b"/etc/passwd"),
    "IMG-1 qcow2 v2 with a backing file": qcow2(backing=b"/etc/passwd", version=2),
    "IMG-1 qcow2 with JSON as backing file": qcow2(backing=b'json:{"driver":"nbd"}'),
    "IMG-1 qcow2 with a URL as backing file": qcow2(backing=b"nbd://localhost/x"),
    "IMG-2 a flat descriptor": DESCRIPTOR.replace(b"monolithicSparse", b"monolithicFlat").replace(
        b'SPARSE "disk', b'FLAT "/etc/passwd'
    ),
    "IMG-2 a flat descriptor inside": vmdk(DESCRIPTOR.replace(b"monolithicSparse", b"monolithicFlat")),
    "IMG-2 a slash in an extent": vmdk(DESCRIPTOR.replace(b'"disk.vmdk"', b'"/etc/passwd"')),
    "IMG-2 a descriptor of vmfs": b'version=1\ncreateType="vmfs"\nRW 1 VMFS "secret.txt"\n',
    "IMG-2 a descriptor without a type": b'version=1\nRW 8 FLAT "secret.txt" 0\n',
    "IMG-2 a descriptor of an odd type": b'version=1\ncreateType=vmfs\nRW 1 VMFS "/etc/hosts"\n',
    "IMG-2 a descriptor below 64 bytes": b'RW 1 FLAT "/etc/passwd" 0\n',
    "IMG-2 a descriptor behind comments": b"#\n" * 90 + b"version=1\n" + b'rw 1 flat "x"',
    "IMG-2 a descriptor with Windows' line ends": b"# x\r\n\r\nversion=1\r\n",
    "IMG-2 a descriptor with a partition table": with_mbr(padded(b"#\nversion=1\n", 4096)),
    "IMG-2 a parent": vmdk(DESCRIPTOR + b'parentFileNameHint="/etc/passwd"\n'),
    "IMG-2 a parent in other letters": vmdk(DESCRIPTOR + b'PARENTfilenamehint="x"\n'),
    "IMG-2 a descriptor that does not end": vmdk(DESCRIPTOR.ljust(1024, b"#") + b"x" * 4096, length=2),
    "IMG-2 a descriptor elsewhere": vmdk(at=2),
    "IMG-2 a descriptor elsewhere on a disc": iso(vmdk(at=2)[:32768]),
    "IMG-2 a version nobody knows on a disc": iso(vmdk(version=9)[:32768]),
    "IMG-2 no sectors": vmdk(sectors=0),
    "IMG-3 qcow2 with a data file": qcow2(features=1 << 2),
    "IMG-3 qcow2 with an unknown feature": qcow2(features=1 << 40),
    "IMG-3 qcow2 with extended L2 and a data file": qcow2(features=1 << 4 | 1 << 2),
    "IMG-3 qcow2 with extended L2 and a backing file": qcow2(features=1 << 4, backing=b"/etc/passwd"),
    "IMG-3 qcow2 with extended L2 and what comes after it": qcow2(features=1 << 4 | 1 << 5),
    "IMG-3 qcow2 version 1": qcow2(version=1),
    **{
        f"IMG-4 qcow2 of {length} bytes": qcow2(backing=b"secret.txt", version=version, length=length)
        for version in (2, 3)
        for length in (72, 104, 105, 200, 400, 511)
    },
    "IMG-5 qcow2 of 2^62": qcow2(size=HUGE),
    "IMG-5 qcow2 of -1": qcow2(size=2**64 - 1),
    "IMG-5 qcow2 of 0": qcow2(size=0),
    "IMG-5 vmdk of 2^62": vmdk(sectors=HUGE // 512),
    "IMG-5 vhd of 2^62": padded(vhd_footer(kind=3, size=HUGE), 65536),
    "IMG-5 vhd that was 2^62": padded(vhd_footer(kind=3, original=HUGE), 65536),
    "IMG-5 fixed vhd of 2^62": DISK + vhd_footer(size=HUGE),
    "IMG-5 vdi of 2^62": vdi(size=HUGE),
    "IMG-5 vdi of 0": vdi(size=0),
    "IMG-5 vhdx of 2^62": vhdx(size=HUGE),
    "IMG-5 vhdx of 0": vhdx(size=0),
    "IMG-6 qcow2 and disc": iso(qcow2(length=32768)),
    "IMG-6 qcow2 and partitions": with_mbr(qcow2()),
    "IMG-6 vmdk and disc": iso(vmdk()[:32768]),
    "IMG-6 vhdx and partitions": with_mbr(padded(b"vhdxfile", MIB)),
    "IMG-6 qcow2 that ends as vhd": qcow2() + vhd_footer(),
    "IMG-6 parallels and disc": iso(b"WithoutFreeSpace"),
    "IMG-7 vhd that builds on another": padded(vhd_footer(kind=4), 65536),
    "IMG-7 vdi that builds on another": vdi(kind=4),
    "IMG-7 vhdx that builds on another": vhdx(parent=True),
    "IMG-7 COWD": padded(b"COWD", 4096),
    "IMG-7 parallels": padded(b"WithoutFreeSpace", 4096),
    "IMG-7 bochs": padded(b"Bochs Virtual HD Image", 4096),
    "IMG-7 cloop": padded(b"#!/bin/sh\n#V2.0 Format\n", 4096),
    "IMG-7 dmg": DISK + padded(b"koly", 512),
    "IMG-7 QED": padded(b"QED\0", 4096),
    "IMG-8 vhdx with 2,048 regions": vhdx(entries=2048),
}
TAKEN = {
    "raw": (DISK, "raw"),
    "nothing": (b"", "raw"),
    "one byte": (b"Q", "raw"),
    "a cut magic": (b"QFI", "raw"),
    "qcow2": (qcow2(), "qcow2"),
    "qcow2 version 2": (qcow2(version=2), "qcow2"),
    "vmdk": (vmdk(), "vmdk"),
    "dynamic vhd": (padded(vhd_footer(kind=3), 65536), "vhd"),
    "fixed vhd": (DISK + vhd_footer(), "vhd"),
    "fixed vhd of a disk with partitions": (with_mbr(DISK) + vhd_footer(), "vhd"),
    "fixed vhd with the old footer": (DISK + vhd_footer()[:511], "vhd"),
    "vhdx": (vhdx(), "vhdx"),
    "vdi": (vdi(), "vdi"),
    "disc": (iso(), "iso"),
    "disc and partitions": (with_mbr(iso()), "iso"),
    "disk with partitions": (with_mbr(DISK), "raw"),
    "ploop": (padded(b"WithouFreSpacExt", 4096), "ploop"),
    "IMG-9 gzip": (b"\x1f\x8b\x08\0" + DISK, "raw"),
    "r1-B7 qcow2 with extended L2": (qcow2(features=1 << 4), "qcow2"),
    "r1-B7 a disc of UDF alone": (opaque.udf(), "iso"),
    "r1-B7 a disc of UDF alone with sectors of 4 KiB": (opaque.udf(sector=4096), "iso"),
    "tar": (padded(b"../../etc/passwd\0", 512) + DISK, "raw"),
    "text": (b"All work and no play makes Jack a dull boy.\n" * 1000, "raw"),
}


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED.keys())
def test_an_unsafe_image_is_refused_whatever_its_declared_format_and_block_size(data: bytes) -> None:
    for declared in ("raw", "qcow2", "vmdk", "vhd", "vhdx", "vdi", "iso", "ami", None):
        assert judge(data, declared).problem is not None, declared
    for step in (1, 7, 511) if len(data) <= 65536 else (4093, MIB + 1):
        assert judge(data, "raw", step) == judge(data, "raw")


@pytest.mark.parametrize(("data", "declared"), TAKEN.values(), ids=TAKEN.keys())
def test_a_safe_image_is_accepted_as_declared(data: bytes, declared: str) -> None:
    assert judge(data, declared).problem is None
    assert judge(data, declared, 4093) == judge(data, declared)


@pytest.mark.parametrize("name", ["qcow2", "vmdk", "fixed vhd", "dynamic vhd", "vhdx", "vdi"])
def test_g_47_bytes_of_another_format_that_are_declared_raw_are_refused(name: str) -> None:
    verdict = judge(TAKEN[name][0], "raw")
    assert re.fullmatch(r"The image is declared as raw, but it is \w+\.", verdict.problem or "")


@pytest.mark.parametrize("data", opaque.FILES.values(), ids=opaque.FILES.keys())
def test_a_raw_disk_a_kernel_or_a_ramdisk_is_accepted_whatever_its_first_bytes_are(data: bytes) -> None:
    """r1-B1: the response used to be 415 "The image is not safe: mbr"."""
    for declared in ("raw", "aki", "ari", "ami", None):
        verdict = judge(data, declared)
        assert (verdict.problem, verdict.virtual_size) == (None, len(data)), declared
        assert judge(data, declared, 509) == verdict


@pytest.mark.parametrize("data", opaque.FILES.values(), ids=opaque.FILES.keys())
@pytest.mark.parametrize("declared", ["qcow2", "vmdk", "vdi", "vhd", "vhdx"])
def test_an_opaque_image_is_refused_as_any_structured_format(data: bytes, declared: str) -> None:
    assert judge(data, declared).problem is not None


@pytest.mark.parametrize("data", opaque.FILES.values(), ids=opaque.FILES.keys())
def test_a_boot_sector_hides_no_other_format(data: bytes) -> None:
    """r1-B1: an opaque beginning does not excuse a footer that makes the whole a VHD."""
    problem = judge(data + vhd_footer(), "raw").problem
    assert problem == "The image is declared as raw, but it is vhd."


@pytest.mark.parametrize("declared", ["qcow2", "vmdk", "iso"])
@pytest.mark.parametrize(("name", "data"), opaque.COMPRESSED.items(), ids=opaque.COMPRESSED.keys())
def test_the_refusal_of_a_compressed_file_names_its_compression(
    name: str, data: bytes, declared: str
) -> None:
    """r1-B10: the message used to be "it is raw". The same check runs if the format is declared later."""
    verdict = judge(data, declared)
    assert verdict.problem == (
        f"The image is declared as {declared}, but it looks like a file compressed with {name}: "
        f"decompress it, or declare its container_format as compressed."
    )
    assert mismatch(declared, verdict.format) == verdict.problem
    assert judge(data, "raw").problem is judge(data, None).problem is None


@given(st.binary(max_size=510), st.binary(max_size=2000))
def test_no_boot_sector_makes_opaque_bytes_unsafe(sector: bytes, rest: bytes) -> None:
    """r1-B1: the library judged the bytes where partitions would be."""
    data = b"\0" + sector[1:].ljust(509, b"\0") + b"\x55\xaa" + rest
    assert "not safe" not in (judge(data, "raw").problem or "")


def test_the_verdict_on_a_safe_image_has_its_format_and_the_size_of_its_disk() -> None:
    found = {name: judge(data, declared) for name, (data, declared) in TAKEN.items()}
    assert {name: found[name].format for name in ("qcow2", "vmdk", "fixed vhd", "vhdx", "vdi")} == {
        "qcow2": "qcow2",
        "vmdk": "vmdk",
        "fixed vhd": "vhd",
        "vhdx": "vhdx",
        "vdi": "vdi",
    }
    assert {found[name].virtual_size for name in ("qcow2", "vmdk", "fixed vhd", "vhdx", "vdi")} == {MIB}
    assert found["raw"].virtual_size == len(DISK)


@pytest.mark.parametrize("declared", ["raw", "aki", "ari", "ami", None])
@pytest.mark.parametrize(
    "data",
    [iso() + DISK, with_mbr(DISK), with_mbr(iso()) + DISK],
    ids=["disc", "partitions", "disc and partitions"],
)
def test_the_virtual_size_of_a_raw_disk_is_the_number_of_its_bytes(data: bytes, declared: str | None) -> None:
    """r1-A7: `virtual_size` used to be taken from an ISO's descriptor or a partition table."""
    verdict = judge(data, declared)
    assert (verdict.virtual_size, verdict.problem) == (len(data), None)


@pytest.mark.parametrize("name", ["qcow2", "vmdk", "dynamic vhd", "vdi", "disc", "disk with partitions"])
def test_img_10_an_image_truncated_at_any_header_boundary_gets_a_verdict(name: str) -> None:
    data, declared = TAKEN[name]
    for boundary in (0, 4, 8, 32, 44, 64, 72, 104, 446, 510, 512, 592, 1024, 1536, 2048, 32768, 34816):
        for length in {max(boundary + shift, 0) for shift in (-1, 0, 1)}:
            verdict = judge(data[:length], declared)
            assert verdict.format is not None or verdict.problem is not None
            # A truncated header is never accepted as raw data.
            if 4 <= length < 512 and name in ("qcow2", "vmdk"):
                assert judge(data[:length], "raw").problem is not None


@given(
    front=st.sampled_from([b"", b"QFI\xfb", b"KDMV", b"vhdxfile", b"conectix", b"LUKS\xba\xbe", b"QED\0"]),
    rest=st.binary(max_size=3000),
    cuts=st.lists(st.integers(0, 3008), max_size=5),
    declared=st.sampled_from(["raw", "qcow2", "vmdk", "vhd", "nonsense", None]),
)
def test_the_verdict_on_any_bytes_does_not_depend_on_how_they_are_split_into_blocks(
    front: bytes, rest: bytes, cuts: list[int], declared: str | None
) -> None:
    data = front + rest
    inspector = Inspector(declared, virtual_size_cap=CAP)
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    for start, stop in itertools.pairwise(edges):
        inspector.update(data[start:stop])
    assert inspector.verdict() == judge(data, declared, max(len(data), 1))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(vmdk(length=1 << 30), id="G-44 a descriptor of 512 GiB"),
        pytest.param(vhdx(item_length=2**32 - 1), id="G-44 an item of 4 GiB"),
        pytest.param(b"#" * 65536, id="IMG-8 text without an end"),
        pytest.param(b"\n" * 65536, id="IMG-8 empty lines without an end"),
    ],
)
def test_the_inspectors_memory_is_bounded_whatever_a_header_says(data: bytes) -> None:
    inspector = Inspector("raw", virtual_size_cap=CAP)
    inspector.update(data)
    filling = data[-65536:]
    tracemalloc.start()
    try:
        for _ in range(256):
            inspector.update(filling)
        inspector.verdict()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * MIB


def test_formats_that_do_not_match_keep_no_memory() -> None:
    Inspector("raw").verdict()  # the first one loads the library
    block = os.urandom(MIB)
    tracemalloc.start()
    try:
        inspector = Inspector("raw")
        for _ in range(3):
            inspector.update(block)
        while_it_goes_on = tracemalloc.get_traced_memory()[0]
        inspector.verdict()
        del inspector
        afterwards = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()

    assert while_it_goes_on < MIB // 4
    assert afterwards < MIB // 8


def test_an_inspector_that_fails_at_the_end_leads_to_a_refusal(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(format_inspector.RawFileInspector, "finish", None)
    inspector = Inspector("raw")
    inspector.update(bytes(2 * MIB))
    assert inspector.verdict() == Verdict(None, None, "The image cannot be inspected.")
    assert "could not be inspected" in caplog.text


@pytest.mark.parametrize("error", [MemoryError(), OSError(24, "too many open files")])
@pytest.mark.parametrize("method", ["eat_chunk", "finish"])
def test_an_error_of_this_process_during_inspection_is_not_a_verdict_on_the_image(
    monkeypatch: pytest.MonkeyPatch, method: str, error: Exception
) -> None:
    """r1-H3: a response 415 would blame the client's image."""

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(format_inspector.QcowInspector, method, fail)
    with pytest.raises(InspectorsUnavailable):
        judge(qcow2(length=2 * MIB), "qcow2")


def test_an_inspector_that_fails_does_not_match(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(format_inspector.QcowInspector, "eat_chunk", None)
    inspector = Inspector("raw")
    inspector.update(bytes(2 * MIB))
    assert inspector.verdict() == Verdict("raw", 2 * MIB)


@pytest.fixture(scope="module")
def qemu_img() -> str:
    """Return qemu-img, which root installs; with CI set, its absence is a failure."""
    try:
        apt("qemu-utils")
    except Unavailable as lack:
        if "CI" in os.environ:
            raise
        pytest.skip(str(lack))
    return "qemu-img"


@pytest.mark.parametrize(
    ("driver", "option", "declared"),
    [
        ("raw", "", "raw"),
        ("qcow2", "", "qcow2"),
        ("qcow2", "compat=0.10", "qcow2"),
        ("qcow2", "compression_type=zstd", "qcow2"),
        ("vmdk", "", "vmdk"),
        ("vmdk", "subformat=streamOptimized", "vmdk"),
        ("vpc", "subformat=dynamic", "vhd"),
        ("vpc", "subformat=fixed", "vhd"),
        ("vhdx", "subformat=dynamic", "vhdx"),
        ("vhdx", "subformat=fixed", "vhdx"),
        ("vdi", "", "vdi"),
        ("vdi", "static=on", "vdi"),
    ],
)
def test_images_made_by_qemu_img_are_accepted_as_declared(
    qemu_img: str, tmp_path: Path, driver: str, option: str, declared: str
) -> None:
    disk, made = tmp_path / "disk", tmp_path / "made"
    disk.write_bytes(with_mbr(DISK) + bytes(2 * MIB))
    options = ["-o", option] if option else []
    subprocess.run([qemu_img, "convert", "-f", "raw", "-O", driver, *options, disk, made], check=True)
    verdict = judge(made.read_bytes(), declared)
    assert verdict.problem is None
    assert verdict.virtual_size >= disk.stat().st_size
    assert judge(made.read_bytes(), declared, 4093) == verdict
    if declared != "raw":
        assert judge(made.read_bytes(), "raw").problem is not None


@pytest.mark.parametrize("driver", ["qcow2", "vmdk"])
def test_an_image_that_qemu_img_builds_on_another_file_is_refused(
    qemu_img: str, tmp_path: Path, driver: str
) -> None:
    base, child = tmp_path / "base", tmp_path / "child"
    subprocess.run([qemu_img, "create", "-q", "-f", driver, base, "4M"], check=True)
    subprocess.run([qemu_img, "create", "-q", "-f", driver, "-b", base, "-F", driver, child], check=True)
    assert judge(base.read_bytes(), driver).problem is None
    assert judge(child.read_bytes(), driver).problem is not None


@pytest.mark.parametrize(
    ("data", "declared", "problem"),
    [
        (qcow2(), "raw", "declared as raw, but it is qcow2"),
        (b"", "qcow2", "declared as qcow2, but it is raw"),
        (qcow2(backing=b"/etc/passwd"), "qcow2", "not safe: backing_file"),
        (qcow2(), "qcow2", None),
        (b"", "raw", None),
        (b"", "vhd", None),  # the only signature of a fixed VHD is at its end
    ],
)
def test_the_first_bytes_can_decide_that_a_stream_is_refused(
    data: bytes, declared: str, problem: str | None
) -> None:
    inspector = Inspector(declared)
    inspector.update(padded(data, MIB - 1))
    assert inspector.early_problem is None
    inspector.update(b"\0")
    assert (inspector.early_problem is None) is (problem is None)
    assert (problem or "") in (inspector.early_problem or "")
