"""What kind of disk image a stream is, and whether it is safe to hand to whoever boots from it.

A stream is refused for what it is, if whoever opens it would open other files by it or be told a wrong
size, and for not being what it is declared to be. A raw disk, a kernel, a ramdisk and a disc are opaque:
whatever their first sectors hold, nobody follows it to another file.

The stream is judged by oslo.utils' inspectors, which Nova and Cinder trust too, and by
rules of our own. They are stricter on headers cut short, fixed VHDs, text
descriptors, images that build on another file, formats of other programs, disks
without a size. They are more lenient on boot sectors, LUKS 2, UDF and qcow2 with extended L2 entries:
see docs/decisions/0020-own-supplement-to-the-inspectors.md. Nothing is ever run or unpacked, memory is
bounded, the verdict does not depend on how the stream was cut into blocks, and whatever an inspector
stumbles over never reaches the copy.
"""

from __future__ import annotations

import importlib
import io
import logging
import re
import uuid
from collections.abc import Set
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from oslo_utils.imageutils import format_inspector

log = logging.getLogger(__name__)

#: The inspectors see this much in one piece, so that no verdict hangs on how a stream was cut.
_FIRST = 1 << 20
#: Bytes of a stream's head and tail that are kept for the rules of our own.
_HEAD = 4096
_TAIL = 512
#: What an inspector raises because this process is short of something, never because of the image.
_SHORTAGE = (MemoryError, OSError)
#: Beginnings by which some consumer recognises an image: format -> magic.
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
#: The two magics of a ploop image, which names no other file.
_PLOOP = ("ploop", "parallels")
#: A VMDK's descriptor: a line of one, or what qemu looks for behind comments and blank lines.
_DESCRIPTOR = re.compile(
    rb"^[ \t]*+#[ \t]*+Disk DescriptorFile|^[ \t]*+createType[ \t]*+="
    rb"|^[ \t]*+(?:RW|RDONLY|NOACCESS)[ \t]++\d++[ \t]++[A-Z]+\b"
    rb"|\A(?:#[^\n]*+\n|\s)*+version[ \t]*+=",
    re.IGNORECASE | re.MULTILINE,
)
_VHD_FOOTER = b"conectix"
_DMG_FOOTER = b"koly"
#: Kinds of VHD and VDI that hold a whole disk; any other is a difference from another file.
_VHD_WHOLE = (2, 3)
_VDI_WHOLE = (1, 2)
_VHDX_PARENT = uuid.UUID("a8d35f2d-b30b-454d-abf7-d3d84834ab0c").bytes_le
_BUILDS_ON = "The image is a {} that builds on another file."
#: Where the volume descriptors of a disc begin, how far apart they are at least, and how many are looked at.
_VOLUME, _VOLUME_STEP, _VOLUME_MOST = 32 << 10, 2 << 10, 16
#: Names in volume descriptors: those that may stand before the one of UDF, and that one itself.
_VOLUME_NAMES = (b"BEA01", b"BOOT2", b"CD001", b"CDW02")
_UDF_NAMES = (b"NSR02", b"NSR03")
#: How a boot sector ends.
_BOOTS = b"\x55\xaa"
#: A qcow2's incompatible features that name no other file: dirty, corrupt, compression type, extended L2.
_QCOW2_FEATURES = 0b11011
#: How compressed files begin: what they are said to be when they are declared as something else.
_COMPRESSED = {
    "gzip": (b"\x1f\x8b\x08",),
    "xz": (b"\xfd7zXZ\0",),
    "bzip2": tuple(b"BZh%d1AY&SY" % level for level in range(1, 10)),
    "zstd": (b"\x28\xb5\x2f\xfd",),
    "lz4": (b"\x04\x22\x4d\x18",),
    "zip": (b"PK\3\4",),
}
#: What is opaque, as raw is: no consumer follows anything in it. "gpt" is what earlier versions wrote down.
_OPAQUE = frozenset({"raw", "gpt", "luks", "iso", *_COMPRESSED})
#: What the declared disk formats may turn out to be; other declarations are not judged.
_ACCEPTED = {
    "raw": _OPAQUE,
    "ami": _OPAQUE,
    "ari": _OPAQUE,
    "aki": _OPAQUE,
    "iso": frozenset({"iso"}),
    "qcow2": frozenset({"qcow2"}),
    "vmdk": frozenset({"vmdk"}),
    "vdi": frozenset({"vdi"}),
    "vhd": frozenset({"vhd"}),
    "vhdx": frozenset({"vhdx"}),
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a stream is: its format by oslo.utils' name, the disk's size in bytes if told, and what is wrong.

    `problem` is a sentence for the client, None when there is none.
    """

    format: str | None
    virtual_size: int | None
    problem: str | None = None


def mismatch(declared: str | None, detected: str | None) -> str | None:
    """Return a sentence if an image that was found to be `detected` cannot be `declared`, None if it can.

    None as either of them means that it is not known, and so is not judged.
    """
    accepted = _ACCEPTED.get(declared or "")
    if detected is None or accepted is None or detected in accepted:
        return None
    if detected in _COMPRESSED:
        return (
            f"The image is declared as {declared}, but it looks like a file compressed with {detected}: "
            f"decompress it, or declare its container_format as compressed."
        )
    return f"The image is declared as {declared}, but it is {detected}."


class InspectorsUnavailable(Exception):
    """The inspectors cannot be loaded, or cannot work: the next upload may find them well."""

    def __init__(self) -> None:
        super().__init__("Images cannot be inspected at the moment.")


def _library() -> ModuleType:
    """Loaded with the first upload: it costs every process 15 MiB and a good part of its start."""
    try:
        from oslo_utils.imageutils import format_inspector
    except (ImportError, OSError) as error:  # a process out of descriptors can open no module either
        importlib.invalidate_caches()  # they keep that a folder could not be read
        raise InspectorsUnavailable from error
    return format_inspector


class Inspector:
    """Judges one stream: give it every block, then ask for the verdict.

    `declared` is the disk format that the image is said to have, `virtual_size_cap` the
    most bytes that the disk in it may have; None leaves either unjudged.
    """

    def __init__(self, declared: str | None, *, virtual_size_cap: int | None = None):
        self._declared = declared
        self._cap = virtual_size_cap
        self._library = _library()
        # What the library says of partition tables is about opaque bytes.
        formats = self._library.ALL_FORMATS.items()
        self._inspectors = [inspect() for name, inspect in formats if name != "gpt"]
        #: Those that want to see more; who stumbles is judged by what it has seen.
        self._reading = list(self._inspectors)
        self._first: io.BytesIO | None = io.BytesIO()
        self._head = b""
        self._volume = b""
        self._tail = b""
        self._count = 0

    def update(self, block: bytes) -> None:
        """Take the next block; whatever is in it is left to the verdict.

        Raises:
            InspectorsUnavailable: this process is short of memory, or of something else.
        """
        self._count += len(block)
        if len(self._head) < _HEAD:
            self._head += block[: _HEAD - len(self._head)]
        self._tail = block[-_TAIL:] if len(block) >= _TAIL else (self._tail + block)[-_TAIL:]
        if self._first is None:
            self._inspect(block)
            return
        room = _FIRST - self._first.tell()
        self._first.write(block[:room])
        if self._first.tell() == _FIRST:
            self._inspect_first()
            self._inspect(block[room:])

    def _inspect_first(self) -> None:
        if self._first is not None:
            first, self._first = self._first.getvalue(), None
            self._volume = first[_VOLUME : _VOLUME + _VOLUME_MOST * _VOLUME_STEP]
            self._inspect(first)
            self._settle()

    def _inspect(self, block: bytes) -> None:
        if not block:
            return
        for inspector in list(self._reading):
            try:
                inspector.eat_chunk(block)
            except _SHORTAGE as error:
                raise InspectorsUnavailable from error
            except Exception as error:  # noqa: BLE001  (theirs may be any, and the copy goes on)
                self._reading.remove(inspector)
                log.debug("an image is no %s: %s", inspector, error)

    def _settle(self) -> None:
        """Once each format has seen what it needs, those that do not match go: one alone keeps a MiB."""
        others = [one for one in self._inspectors if str(one) != "raw"]
        if all(one.complete or one not in self._reading for one in others):
            for inspector in others:
                if not inspector.format_match:
                    self._drop(inspector)

    def _drop(self, inspector: format_inspector.FileInspector) -> None:
        self._inspectors.remove(inspector)
        if inspector in self._reading:
            self._reading.remove(inspector)
        _forget(inspector)

    def verdict(self) -> Verdict:
        """Return what the whole stream is. To be asked once: what was kept of it is forgotten.

        Raises:
            InspectorsUnavailable: this process is short of memory, or of something else.
        """
        try:
            self._inspect_first()
            for inspector in self._inspectors:
                inspector.finish()
            return self._judge()
        except _SHORTAGE as error:
            raise InspectorsUnavailable from error
        except InspectorsUnavailable:
            raise
        except Exception:
            log.exception("an image could not be inspected")
            return Verdict(None, None, "The image cannot be inspected.")
        finally:
            for inspector in self._inspectors:
                _forget(inspector)

    def _judge(self) -> Verdict:
        found = {str(one): one for one in self._inspectors if one.format_match}
        name = self._opaque_name(found.keys())
        if structured := found.keys() - _OPAQUE:
            others = {"iso"} & {name} | ({"mbr"} if self._head[510:512] == _BOOTS else set())
            if len(structured | others) > 1:
                names = ", ".join(sorted(structured | others))
                return Verdict(None, None, f"The image is several things at once: {names}.")
            (name,) = structured
            return self._judge_structured(name, found[name])
        if (problem := self._look_like_another(name)) is not None:
            return Verdict(name, None, problem)
        if (footer := self._vhd_footer) is not None:
            return self._judge_known("vhd", _vhd_size(footer), _vhd_problem(footer))
        return self._judge_known(name, self._count)

    def _opaque_name(self, found: Set[str]) -> str:
        """Return the name of an opaque stream: a disc's, an encrypted or a compressed one's, or just raw."""
        if "iso" in found or _is_udf(self._volume):
            return "iso"
        if "luks" in found:
            return "luks"
        looks = (name for name, magics in _COMPRESSED.items() if self._head.startswith(magics))
        return next(looks, "raw")

    def _judge_structured(self, name: str, inspector: format_inspector.FileInspector) -> Verdict:
        """Judge a format that can name other files, or has a size of its own."""
        problem = self._look_like_another(name) or self._danger(name, inspector)
        if problem is not None:
            return Verdict(name, None, problem)
        if name == "vhd":
            return self._judge_known(name, _vhd_size(self._head), _vhd_problem(self._head))
        return self._judge_known(name, inspector.virtual_size, _parent_problem(name, inspector))

    def _danger(self, name: str, inspector: format_inspector.FileInspector) -> str | None:
        """Return what the library finds unsafe, but for features of a qcow2 that it does not know."""
        try:
            inspector.safety_check()
        except self._library.SafetyCheckFailed as error:
            failures = set(error.failures)
            if name == "qcow2" and _qcow2_features(self._head) & ~_QCOW2_FEATURES == 0:
                failures.discard("unknown_features")
            return f"The image is not safe: {', '.join(sorted(failures))}." if failures else None
        except self._library.ImageFormatError:
            return f"The image is a damaged {name}."
        return None

    def _look_like_another(self, name: str) -> str | None:
        """What the inspectors did not recognise, but somebody else might."""
        for other, magic in _MAGIC.items():
            if self._declared == "ploop" and other in _PLOOP:
                continue
            if other != name and self._head.startswith(magic):
                return f"The image begins like {other}, but cannot be judged as one."
        if name != "vmdk" and _DESCRIPTOR.search(self._head):
            return "The image reads like a descriptor that names other files."
        if self._tail.startswith(_DMG_FOOTER) and len(self._tail) == _TAIL:
            return "The image ends like dmg, but cannot be judged as one."
        if name not in (*_OPAQUE, "vhd") and self._vhd_footer is not None:
            return f"The image is several things at once: {name}, vhd."
        return None

    @property
    def _vhd_footer(self) -> bytes | None:
        """The footer of a VHD, which old versions of its makers wrote one byte short."""
        return next((tail for tail in (self._tail, self._tail[1:]) if _is_vhd_footer(tail)), None)

    def _judge_known(self, name: str, virtual_size: int, problem: str | None = None) -> Verdict:
        if name not in _OPAQUE and problem is None and virtual_size <= 0:
            problem = f"The image does not say how large its disk is, as {name} does."
        if problem is None and self._cap is not None and not 0 <= virtual_size <= self._cap:
            problem = f"The disk in the image would have more than {self._cap} bytes."
        if problem is None:
            problem = mismatch(self._declared, name)
        # A column has 63 bits; a disk that claims more is none.
        return Verdict(name, virtual_size if 0 <= virtual_size < 1 << 63 else None, problem)


def _qcow2_features(header: bytes) -> int:
    """The incompatible features of a qcow2 of version 3; all bits for any other, which is not known."""
    version = int.from_bytes(header[4:8], "big")
    return int.from_bytes(header[72:80], "big") if version == 3 else -1


def _is_udf(volume: bytes) -> bool:
    """Whether a sequence of volume descriptors is that of UDF, which the library only knows behind ISO 9660.

    A descriptor is as large as a sector, but at least 2 KiB (ECMA-167, part 2).
    """
    for step in (_VOLUME_STEP, 2 * _VOLUME_STEP):
        for at in range(0, len(volume), step):
            name = volume[at + 1 : at + 6]
            if name in _UDF_NAMES and at:
                return True
            if name not in _VOLUME_NAMES:
                break
    return False


def _is_vhd_footer(tail: bytes) -> bool:
    return tail.startswith(_VHD_FOOTER) and len(tail) >= _TAIL - 1


def _vhd_size(footer: bytes) -> int:
    """The larger of the two sizes in a VHD's footer, as made and as it is now: consumers differ."""
    return max(int.from_bytes(footer[40:48], "big"), int.from_bytes(footer[48:56], "big"))


def _vhd_problem(footer: bytes) -> str | None:
    whole = int.from_bytes(footer[60:64], "big") in _VHD_WHOLE
    return None if whole else _BUILDS_ON.format("vhd")


def _parent_problem(name: str, inspector: format_inspector.FileInspector) -> str | None:
    """Whether an image is only a difference from another file, by whatever way its format says so."""
    if name == "vmdk":
        descriptor = bytes(inspector.region("descriptor").data)
        if b"\0" not in descriptor:  # some read on behind its end, up to a NUL
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


def _forget(inspector: format_inspector.FileInspector) -> None:
    """Let go of what it captured: it refers to itself, and would lie there until garbage is collected."""
    for name in inspector.context_info:
        inspector.region(name).data = b""
