"""The inspection of a file before it is sent."""

from __future__ import annotations

import pytest

from calotype_client.errors import SettingsError
from calotype_client.formats import inspect

QCOW2 = b"QFI\xfb\0\0\0\3" + bytes(200)
ISO = bytes(0x8001) + b"CD001" + bytes(100)


@pytest.mark.parametrize(
    ("head", "declared", "found"),
    [
        (QCOW2, None, "qcow2"),
        (QCOW2, "qcow2", "qcow2"),
        (b"vhdxfile" + bytes(100), None, "vhdx"),
        (b"KDMV" + bytes(100), None, "vmdk"),
        (b"# Disk DescriptorFile\n", None, "vmdk"),
        (b"conectix" + bytes(100), None, "vhd"),
        (bytes(0x40) + b"\x7f\x10\xda\xbe", None, "vdi"),
        (ISO, None, "iso"),
        (ISO, "raw", "raw"),
        (bytes(512), None, "raw"),
        (b"LUKS\xba\xbe", None, "raw"),
        (b"kernel", "aki", "aki"),
    ],
)
def test_the_format_is_the_declared_or_the_shown_one(head: bytes, declared: str | None, found: str) -> None:
    assert inspect(head, declared, None) == found


@pytest.mark.parametrize(
    ("head", "declared", "message"),
    [
        (QCOW2, "raw", "The file is a qcow2, not a raw disk."),
        (QCOW2, "iso", "The file is a qcow2, not an iso."),
        (ISO, "qcow2", "The file is an iso, not a qcow2."),
        (QCOW2[:8] + (104).to_bytes(8) + QCOW2[16:], None, "The qcow2 has a backing file"),
        (QCOW2[:72] + (4).to_bytes(8) + QCOW2[80:], None, "The qcow2 keeps its data in another file"),
        (b"\x1f\x8b\x08", None, r"The file is compressed \(gzip\)"),
        (b"\xfd7zXZ\0", None, r"The file is compressed \(xz\)"),
    ],
)
def test_what_no_server_takes_is_refused(head: bytes, declared: str | None, message: str) -> None:
    with pytest.raises(SettingsError, match=message) as caught:
        inspect(head, declared, None)
    assert caught.value.advice


def test_a_compressed_container_may_be_sent() -> None:
    assert inspect(b"\x1f\x8b\x08", None, "compressed") == "raw"
