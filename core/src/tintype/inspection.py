"""What kind of disk image a stream is, and whether it is safe to hand to whoever boots from it.

The stream is judged by oslo.utils' inspectors, which Nova and Cinder trust too, and by a
list of our own for what these take for raw: headers cut short, fixed VHDs, text
descriptors, formats they do not know. Nothing is ever run or unpacked, memory is
bounded, and whatever an inspector stumbles over never reaches the copy.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass

from oslo_utils.imageutils import format_inspector

log = logging.getLogger(__name__)

#: Bytes of a stream's head and tail that are kept for the list of our own.
_HEAD = 4096
_TAIL = 512
#: Beginnings by which a consumer may recognise what the inspectors call raw: format -> magic.
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
_DESCRIPTOR = re.compile(
    rb"^\s*#\s*Disk DescriptorFile|^\s*createType\s*=|^\s*(?:RW|RDONLY|NOACCESS)\s+\d+\s+[A-Z]+\b",
    re.IGNORECASE | re.MULTILINE,
)
_VHD_FOOTER = b"conectix"
#: What is as good as raw: no consumer follows anything in it.
_RAW_LIKE = frozenset({"raw", "gpt", "luks", "iso"})
#: What the declared disk formats may turn out to be; other declarations are not judged.
_ACCEPTED = {
    "raw": _RAW_LIKE,
    "ami": _RAW_LIKE,
    "ari": _RAW_LIKE,
    "aki": _RAW_LIKE,
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


class Inspector:
    """Judges one stream: give it every block, then ask for the verdict."""

    def __init__(self, declared: str | None, *, virtual_size_cap: int | None = None):
        self._declared = declared
        self._cap = virtual_size_cap
        self._feed = _Feed()
        self._formats = format_inspector.InspectWrapper(self._feed)
        self._head = b""
        self._tail = b""
        self._failed = False

    def update(self, block: bytes) -> None:
        """Take the next block; never raises."""
        if len(self._head) < _HEAD:
            self._head += block[: _HEAD - len(self._head)]
        self._tail = block[-_TAIL:] if len(block) >= _TAIL else (self._tail + block)[-_TAIL:]
        try:
            self._feed.block = block
            self._formats.read(len(block))
        except Exception:
            self._failed = True
            log.exception("an image could not be inspected")

    def verdict(self) -> Verdict:
        """What the whole stream is; never raises."""
        try:
            self._formats.close()
            return self._judge()
        except Exception:
            log.exception("an image could not be inspected")
            return Verdict(None, None, "The image cannot be inspected.")

    def _judge(self) -> Verdict:
        found = {str(one): one for one in self._formats.formats or []}
        if self._failed or not found:
            return Verdict(None, None, "The image cannot be inspected.")
        if set(found) == {"iso", "gpt"}:  # a hybrid that boots from disc and from disk
            del found["gpt"]
        if len(found) > 1:
            return Verdict(None, None, f"The image is several things at once: {', '.join(sorted(found))}.")
        name, inspector = found.popitem()
        if name == "raw":
            return self._judge_raw(inspector.virtual_size)
        try:
            inspector.safety_check()
        except format_inspector.SafetyCheckFailed as error:
            return Verdict(name, None, f"The image is not safe: {', '.join(sorted(error.failures))}.")
        except format_inspector.ImageFormatError:
            return Verdict(name, None, f"The image is a damaged {name}.")
        return self._judge_known(name, inspector.virtual_size)

    def _judge_raw(self, size: int) -> Verdict:
        """What no inspector recognised, but somebody else might."""
        for name, magic in _MAGIC.items():
            # An empty stream starts with nothing; a cut magic of four bytes or more is suspicious.
            if self._head.startswith(magic):
                return Verdict("raw", None, f"The image begins like {name}, but cannot be judged as one.")
        if self._tail.startswith(_VHD_FOOTER) and len(self._tail) == _TAIL:
            return self._judge_known("vhd", int.from_bytes(self._tail[48:56], "big"))
        if _DESCRIPTOR.search(self._head):
            return Verdict("raw", None, "The image reads like a descriptor that names other files.")
        return self._judge_known("raw", size)

    def _judge_known(self, name: str, virtual_size: int) -> Verdict:
        accepted = _ACCEPTED.get(self._declared or "")
        problem = None
        if self._cap is not None and not 0 <= virtual_size <= self._cap:
            problem = f"The disk in the image would have more than {self._cap} bytes."
        elif accepted is not None and name not in accepted:
            problem = f"The image is declared as {self._declared}, but it is {name}."
        return Verdict(name, virtual_size, problem)


class _Feed:
    """Hands the block at hand to oslo.utils' wrapper, which wants to read."""

    block = b""

    def read(self, size: int) -> bytes:
        return self.block
