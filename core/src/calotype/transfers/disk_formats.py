"""Facts about formats of disk images: magic numbers, acceptable declarations, and dangers."""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from oslo_utils.imageutils import format_inspector

#: Bytes kept from the end of a stream, to recognise formats with a footer.
TAIL = 512
#: Format -> the magic number by which programs recognise it.
_MAGIC = {
    "qcow2": b"QFI\xfb",
    "qed": b"QED\0",
    "vmdk": b"KDMV",
    "vmdk (COWD)": b"COWD",
    "vhd": b"conectix",
    "vhdx": b"vhdxfile",
    "parallels": b"WithoutFreeSpace",
    "ploop": b"WithouFreSpacExt",
    "bochs": b"Bochs Virtual HD Image",
    "cloop": b"#!/bin/sh\n#V2.0 Format\n",
}
#: A ploop image may begin with either magic number. It never refers to another file.
_PLOOP = ("ploop", "parallels")
#: A line of a VMDK's descriptor, or the line that qemu looks for after comments and blank lines.
_DESCRIPTOR = re.compile(
    rb"^[ \t]*+#[ \t]*+Disk DescriptorFile|^[ \t]*+createType[ \t]*+="
    rb"|^[ \t]*+(?:RW|RDONLY|NOACCESS)[ \t]++\d++[ \t]++[A-Z]+\b"
    rb"|\A(?:#[^\n]*+\n|\s)*+version[ \t]*+=",
    re.IGNORECASE | re.MULTILINE,
)
_DMG_FOOTER = b"koly"
#: Kinds of VHD and VDI that hold a whole disk; all others hold the difference from another file.
_VHD_WHOLE = (2, 3)
_VDI_WHOLE = (1, 2)
_VHDX_PARENT = uuid.UUID("a8d35f2d-b30b-454d-abf7-d3d84834ab0c").bytes_le
_BUILDS_ON = "The image is a {} that builds on another file."
#: The offset of a disc's volume descriptors, the minimum distance between them, and the number examined.
VOLUME, VOLUME_STEP, VOLUME_MOST = 32 << 10, 2 << 10, 16
#: The names of volume descriptors that may precede UDF's, and the names of UDF's own.
_VOLUME_NAMES = (b"BEA01", b"BOOT2", b"CD001", b"CDW02")
_UDF_NAMES = (b"NSR02", b"NSR03")
#: The last two bytes of a boot sector.
BOOTS = b"\x55\xaa"
#: Incompatible features of qcow2 that name no other file: dirty, corrupt, compression type, extended L2.
QCOW2_FEATURES = 0b11011
#: Magic numbers of compressed files. If such a file is declared as a disk, the error names its compression.
COMPRESSED = {
    "gzip": (b"\x1f\x8b\x08",),
    "xz": (b"\xfd7zXZ\0",),
    "bzip2": tuple(b"BZh%d1AY&SY" % level for level in range(1, 10)),
    "zstd": (b"\x28\xb5\x2f\xfd",),
    "lz4": (b"\x04\x22\x4d\x18",),
    "zip": (b"PK\3\4",),
}
#: Opaque formats: no program follows references in them. "gpt" is among them because earlier versions
#: recorded it.
OPAQUE = frozenset({"raw", "gpt", "luks", "iso", *COMPRESSED})
#: Declared format -> the formats that its bytes may have. Other declarations are not judged.
_ACCEPTED = {
    **dict.fromkeys(("raw", "ami", "ari", "aki"), OPAQUE),
    **{name: frozenset({name}) for name in ("iso", "qcow2", "vmdk", "vdi", "vhd", "vhdx")},
}


def mismatch(declared: str | None, detected: str | None) -> str | None:
    """Return a sentence if an image in the format `detected` must not be declared as `declared`.

    Otherwise, or if one of them is unknown and therefore None, return None.
    """
    accepted = _ACCEPTED.get(declared or "")
    if detected is None or accepted is None or detected in accepted:
        return None
    if detected in COMPRESSED:
        return (
            f"The image is declared as {declared}, but it looks like a file compressed with {detected}: "
            f"decompress it, or declare its container_format as compressed."
        )
    return f"The image is declared as {declared}, but it is {detected}."


def qcow2_features(header: bytes) -> int:
    """Return the bits of a qcow2's incompatible features. All bits are set unless its version is 3."""
    version = int.from_bytes(header[4:8], "big")
    return int.from_bytes(header[72:80], "big") if version == 3 else -1


def is_udf(volume: bytes) -> bool:
    """Return whether the volume descriptors are those of UDF.

    oslo.utils finds UDF only on discs that also have ISO 9660. A descriptor is as large as a sector, but at
    least 2 KiB (ECMA-167, part 2).
    """
    for step in (VOLUME_STEP, 2 * VOLUME_STEP):
        for at in range(0, len(volume), step):
            name = volume[at + 1 : at + 6]
            if name in _UDF_NAMES and at:
                return True
            if name not in _VOLUME_NAMES:
                break
    return False


def look_like_another(name: str, declared: str | None, head: bytes, tail: bytes) -> str | None:
    """Return a sentence if a stream in the format `name` looks like another format to some program."""
    for other, magic in _MAGIC.items():
        if declared == "ploop" and other in _PLOOP:
            continue
        if other != name and head.startswith(magic):
            return f"The image begins like {other}, but cannot be inspected as {other}."
    if name != "vmdk" and _DESCRIPTOR.search(head):
        return "The image reads like a descriptor that names other files."
    if tail.startswith(_DMG_FOOTER) and len(tail) == TAIL:
        return "The image ends like dmg, but cannot be inspected as dmg."
    if name not in (*OPAQUE, "vhd") and vhd_footer(tail) is not None:
        return f"The image looks like several formats at once: {name}, vhd."
    return None


def vhd_footer(tail: bytes) -> bytes | None:
    """Return the footer of a VHD, or None if there is none. The footers of old programs lack one byte."""
    return next(
        (part for part in (tail, tail[1:]) if part.startswith(_MAGIC["vhd"]) and len(part) >= TAIL - 1), None
    )


def vhd_size(footer: bytes) -> int:
    """Return the larger of the original and the current size in a VHD's footer: programs use either."""
    return max(int.from_bytes(footer[40:48], "big"), int.from_bytes(footer[48:56], "big"))


def vhd_problem(footer: bytes) -> str | None:
    """Return a sentence if a VHD is only a difference from another file."""
    whole = int.from_bytes(footer[60:64], "big") in _VHD_WHOLE
    return None if whole else _BUILDS_ON.format("vhd")


def parent_problem(name: str, inspector: format_inspector.FileInspector) -> str | None:
    """Return a sentence if an image is only a difference from another file, or a damaged vmdk."""
    if name == "vmdk":
        descriptor = bytes(inspector.region("descriptor").data)
        if b"\0" not in descriptor:  # some programs read on after its end, up to a NUL
            return "The image is a damaged vmdk."
        builds = b"parentfilenamehint" in descriptor.partition(b"\0")[0].lower()
    elif name == "vhdx":
        builds = _VHDX_PARENT in bytes(inspector.region("metadata").data)
    elif name == "vdi":
        header = bytes(inspector.region("header").data)
        builds = int.from_bytes(header[0x4C:0x50], "little") not in _VDI_WHOLE
    else:
        builds = False
    return _BUILDS_ON.format(name) if builds else None
