"""Small files with the first bytes of real kernels, disks, volumes and compressed files.

tests/functional/test_real_opaque_images.py tests files that real tools make.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import zipfile

_SECTOR = 512
_SIZE = 128 * _SECTOR


def _file(sectors: dict[int, bytes], size: int = _SIZE) -> bytes:
    """Return a file with these bytes at these offsets."""
    data = bytearray(size)
    for offset, content in sectors.items():
        data[offset : offset + len(content)] = content
    return bytes(data)


def _partition(kind: int, start: int, sectors: int, boot: int = 0, chs: bytes = b"\0\2\0") -> bytes:
    return struct.pack("<B3sB3sII", boot, chs, kind, b"\xff\xff\xff", start, sectors)


def kernel() -> bytes:
    """Return a bzImage: a jump, a PE header for UEFI, `55 AA` at the end of the boot sector, then `HdrS`."""
    return _file(
        {
            0: b"MZ\xea\x07\x00\xc0\x07\x8c\xc8\x8e\xd8\x8e\xc0\x8e\xd0\x31\xe4\xfb\xfc\xbe\x40\x00",
            0x3C: struct.pack("<I", 0x82),
            0x82: b"PE\0\0\x64\x86\x04\x00",
            # In place of the partition table, there is code whose bytes are not valid boot flags.
            0x1BE: bytes(range(1, 0x30)),
            0x1F1: b"\x1e\x01\x00\x60\xea\x07\x00\x00\x00\xff\xff\x00\x00\x55\xaa\xeb\x6a",
            0x202: b"HdrS\x0f\x02",
        }
    )


def hybrid_gpt() -> bytes:
    """Return a GPT whose protective MBR also has other partitions, as `sgdisk --hybrid` makes it."""
    return _file(
        {
            446: _partition(0x0C, 34, 20, boot=0x80) + _partition(0xEE, 1, 33, chs=b"\xff\xff\xff"),
            510: b"\x55\xaa",
            512: b"EFI PART\0\0\1\0\x5c\0\0\0",
        }
    )


def protective_gpt() -> bytes:
    """Return a GPT with its protective MBR."""
    return _file({446: _partition(0xEE, 1, 127), 510: b"\x55\xaa", 512: b"EFI PART\0\0\1\0\x5c\0\0\0"})


def floppy() -> bytes:
    """Return a FAT12 floppy, whose media descriptor is not that of a fixed disk."""
    fields = struct.pack("<HBHBHHBHHHII", 512, 1, 1, 2, 224, 2880, 0xF0, 9, 18, 2, 0, 0)
    return _file(
        {0: b"\xeb\x3c\x90mkfs.fat" + fields, 54: b"FAT12   \x0e\x1f\xbe\x5b\x7c\xac", 510: b"\x55\xaa"}
    )


FILES = {
    "an empty boot sector": bytes(510) + b"\x55\xaa",
    "an empty boot sector and a disk": _file({510: b"\x55\xaa"}),
    "a kernel": kernel(),
    "a hybrid GPT": hybrid_gpt(),
    "a protective GPT": protective_gpt(),
    "partitions with odd flags": _file({446: _partition(0x83, 63, 64, boot=0x42), 510: b"\x55\xaa"}),
    "a FAT floppy": floppy(),
    "exFAT": _file({0: b"\xeb\x76\x90EXFAT   ", 0x40: struct.pack("<QQ", 0, 128), 510: b"\x55\xaa"}),
    "NTFS": _file(
        {0: b"\xeb\x52\x90NTFS    \0\2\x08", 21: b"\xf8", 0x54: b"\x0e\x1f\xbe\x71\x7c\xac", 510: b"\x55\xaa"}
    ),
    "LUKS 1": _file({0: b"LUKS\xba\xbe\0\1aes", 40: b"xts-plain64", 72: b"sha256", 104: b"\0\0\x10\0"}),
    "LUKS 2": _file({0: b"LUKS\xba\xbe\0\2\0\0\0\0\0\0\x40\0", 4096: b'{"keyslots":{}}'}),
}

COMPRESSED = {
    "gzip": gzip.compress(bytes(_SIZE)),
    "xz": lzma.compress(bytes(_SIZE)),
    "bzip2": bz2.compress(bytes(_SIZE)),
    # These two are frames of one empty block, because the standard library cannot compress in their formats.
    "zstd": b"\x28\xb5\x2f\xfd\x20\x00\x01\x00\x00" + bytes(600),
    "lz4": b"\x04\x22\x4d\x18\x60\x40\x82\x00\x00\x00\x00" + bytes(600),
}


def _zip() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("disk.qcow2", bytes(_SIZE))
    return packed.getvalue()


COMPRESSED["zip"] = _zip()


def udf(sector: int = 2048) -> bytes:
    """Return a disc with UDF descriptors and without ISO 9660."""
    names = (b"BEA01", b"NSR03", b"TEA01")
    step = max(sector, 2048)
    return _file({0x8000 + step * at: b"\0" + name + b"\1" for at, name in enumerate(names)}, 96 << 10)


def qcow2(features: int = 0) -> bytes:
    """Return an empty disk of 1 MiB as qcow2 version 3 with these incompatible features."""
    header = struct.pack(">4sIQIIQIIQQIIQ", b"QFI\xfb", 3, 0, 0, 16, 1 << 20, 0, 1, 3 << 16, 1 << 16, 1, 0, 0)
    return (header + struct.pack(">QQQII", features, 0, 0, 4, 104)).ljust(4 << 16, b"\0")
