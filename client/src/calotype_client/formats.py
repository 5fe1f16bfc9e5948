"""Tell the format of a disk image by its first bytes, before anything is sent.

The server inspects what it receives, and decides. This inspection spares people the wait: it finds the format
to declare, and refuses a file that no server takes.
"""

from __future__ import annotations

from calotype_client.errors import SettingsError

#: Bytes at the beginning of a file that the inspection needs.
HEAD = 40 << 10
#: Format -> offset and bytes by which it is known.
_DISKS = {
    "qcow2": (0, b"QFI\xfb"),
    "vhdx": (0, b"vhdxfile"),
    "vdi": (0x40, b"\x7f\x10\xda\xbe"),
    "iso": (0x8001, b"CD001"),
}
_SPARSE_VMDK, _VHD = b"KDMV", b"conectix"
_COMPRESSED = {
    "gzip": b"\x1f\x8b",
    "xz": b"\xfd7zXZ\x00",
    "bzip2": b"BZh",
    "zstd": b"\x28\xb5\x2f\xfd",
    "lz4": b"\x04\x22\x4d\x18",
}
#: Where the header of a qcow2 has the offset of its backing file's name, its version and its features.
_BACKING, _VERSION, _FEATURES = slice(8, 16), slice(4, 8), slice(72, 80)
_EXTERNAL_DATA = 1 << 2


def inspect(head: bytes, declared: str | None, container: str | None) -> str:
    """Return the disk format to declare for a file that begins with `head`.

    `declared` is the format that the caller names, if any, and `container` the container format.

    Raises:
        SettingsError: the file is compressed, is in another format than declared, or needs other files.
    """
    found = disk_format(head)
    if declared not in (None, "raw") and found not in (None, declared) and declared in _KNOWN:
        raise SettingsError(
            f"The file is {_article(found)} {found}, not {_article(declared)} {declared}.",
            advice=f"Leave out --disk-format, or say --disk-format {found}.",
        )
    if declared == "raw" and found not in (None, "iso"):
        raise SettingsError(
            f"The file is {_article(found)} {found}, not a raw disk.",
            advice="Leave out --disk-format, or convert it: qemu-img convert -O raw FILE NEW.raw",
        )
    if found == "qcow2":
        _check_qcow2(head)
    if declared is None and container != "compressed" and (kind := compression(head)):
        raise SettingsError(
            f"The file is compressed ({kind}), and machines cannot start from it.",
            advice="Decompress it first, or say --container-format compressed if the server takes that.",
        )
    return declared or found or "raw"


def disk_format(head: bytes) -> str | None:
    """Return the format that the first bytes of a file show, or None: a raw disk shows nothing."""
    for name, (offset, magic) in _DISKS.items():
        if head[offset : offset + len(magic)] == magic:
            return name
    if head.startswith((_SPARSE_VMDK, b"# Disk DescriptorFile")):
        return "vmdk"
    return "vhd" if head.startswith(_VHD) else None


def compression(head: bytes) -> str | None:
    """Return the name of the compression that the first bytes of a file show, or None."""
    return next((name for name, magic in _COMPRESSED.items() if head.startswith(magic)), None)


_KNOWN = frozenset({*_DISKS, "vmdk", "vhd"})


def _check_qcow2(head: bytes) -> None:
    if int.from_bytes(head[_BACKING]):
        raise SettingsError(
            "The qcow2 has a backing file, which would stay behind.",
            advice="Join them: qemu-img convert -O qcow2 FILE NEW.qcow2",
        )
    if int.from_bytes(head[_VERSION]) >= 3 and int.from_bytes(head[_FEATURES]) & _EXTERNAL_DATA:
        raise SettingsError(
            "The qcow2 keeps its data in another file, which would stay behind.",
            advice="Join them: qemu-img convert -O qcow2 FILE NEW.qcow2",
        )


def _article(name: str | None) -> str:
    return "an" if name == "iso" else "a"
