"""Inspection: determine the format of a disk image, and whether the image is safe to open.

A stream is refused if its format is not the declared one. It is also refused if it could make a program open
other files, or accept a wrong size. Raw disks, kernels, ramdisks and discs are opaque: no program takes them
for a reference to another file.

The stream is judged by the inspectors of oslo.utils, which Nova and Cinder trust too, and by rules of our
own. Our rules are stricter about truncated headers, fixed VHDs, text descriptors, images that build on
another file, formats of other programs, and disks without a size. They are more lenient about boot sectors,
LUKS 2, UDF and qcow2 with extended L2 entries: see docs/decisions/0020-own-supplement-to-the-inspectors.md.

Nothing is ever run or unpacked, and memory is bounded. The verdict does not depend on how the stream was cut
into blocks. If an image makes an inspector fail, the stream continues.
"""

from __future__ import annotations

import importlib
import io
import logging
from collections.abc import Set
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING

from calotype.transfers.disk_formats import (
    BOOTS,
    COMPRESSED,
    OPAQUE,
    QCOW2_FEATURES,
    TAIL,
    VOLUME,
    VOLUME_MOST,
    VOLUME_STEP,
    is_udf,
    look_like_another,
    mismatch,
    parent_problem,
    qcow2_features,
    vhd_footer,
    vhd_problem,
    vhd_size,
)

if TYPE_CHECKING:
    from oslo_utils.imageutils import format_inspector

log = logging.getLogger(__name__)

#: The inspectors get the first bytes in one piece of this size, so that the sizes of blocks do not matter.
_FIRST = 1 << 20
#: Bytes of a stream's head that are kept for our own rules.
_HEAD = 4096
#: Errors of an inspector that mean a shortage in this process, and say nothing about the image.
_SHORTAGE = (MemoryError, OSError)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of an inspection.

    `format` is oslo.utils' name of the format, and `virtual_size` the size of the disk in bytes; each is None
    if it is not known. `problem` is a sentence for the client, or None.
    """

    format: str | None
    virtual_size: int | None
    problem: str | None = None


class InspectorsUnavailable(Exception):
    """The inspectors cannot be loaded, or cannot work at the moment. The next upload may succeed."""

    def __init__(self) -> None:
        super().__init__("Images cannot be inspected at the moment.")


def _library() -> ModuleType:
    """Return the inspectors' module. It is loaded late, because it takes 15 MiB and slows the start."""
    try:
        from oslo_utils.imageutils import format_inspector
    except (ImportError, OSError) as error:  # without a free descriptor no module can be opened
        importlib.invalidate_caches()  # import caches remember that a folder could not be read
        raise InspectorsUnavailable from error
    return format_inspector


class Inspector:
    """The inspection of one stream: give it each block, then ask for the verdict.

    `declared` is the declared disk format of the image, and `virtual_size_cap` the largest size that its disk
    may have, in bytes. If one of them is None, the image is not judged by it.
    """

    def __init__(self, declared: str | None, *, virtual_size_cap: int | None = None):
        self._declared = declared
        self._cap = virtual_size_cap
        self._library = _library()
        # The inspector of partition tables is left out, because a disk with one is opaque like any raw disk.
        formats = self._library.ALL_FORMATS.items()
        self._inspectors = [inspect() for name, inspect in formats if name != "gpt"]
        #: The inspectors that still take blocks. A failed one is judged by the blocks that it has seen.
        self._reading = list(self._inspectors)
        self._first: io.BytesIO | None = io.BytesIO()
        self._head = b""
        self._volume = b""
        self._tail = b""
        self._count = 0
        #: A sentence for the client if the first bytes already decide that the stream must be refused.
        self.early_problem: str | None = None

    def update(self, block: bytes) -> None:
        """Take the next block.

        Raises:
            InspectorsUnavailable: this process is short of memory or another resource.
        """
        self._count += len(block)
        if len(self._head) < _HEAD:
            self._head += block[: _HEAD - len(self._head)]
        self._tail = block[-TAIL:] if len(block) >= TAIL else (self._tail + block)[-TAIL:]
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
            self._volume = first[VOLUME : VOLUME + VOLUME_MOST * VOLUME_STEP]
            self._inspect(first)
            self._settle()
            try:
                self.early_problem = self._judge_early()
            except _SHORTAGE as error:
                raise InspectorsUnavailable from error
            except Exception as error:  # noqa: BLE001  (the verdict on the whole stream reports it)
                log.debug("the first bytes of an image could not be judged: %s", error)

    def _inspect(self, block: bytes) -> None:
        if not block:
            return
        for inspector in list(self._reading):
            try:
                inspector.eat_chunk(block)
            except _SHORTAGE as error:
                raise InspectorsUnavailable from error
            except Exception as error:  # noqa: BLE001  (the library may raise any, and the upload goes on)
                self._reading.remove(inspector)
                log.debug("an image is not %s: %s", inspector, error)

    def _settle(self) -> None:
        """Once all inspectors have seen enough, drop those that do not match, because one holds 1 MiB."""
        others = [one for one in self._inspectors if str(one) != "raw"]
        if all(one.complete or one not in self._reading for one in others):
            for inspector in others:
                if not inspector.format_match:
                    self._inspectors.remove(inspector)
                    _forget(inspector)
            self._reading = [one for one in self._reading if one in self._inspectors]

    def verdict(self) -> Verdict:
        """Return the verdict on the whole stream. Call this once, because it frees the captured bytes.

        Raises:
            InspectorsUnavailable: this process is short of memory or another resource.
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

    def _judge_early(self) -> str | None:
        """Return a sentence if no further bytes can make the stream acceptable, otherwise None.

        All formats have their signatures in the first bytes, except a VHD, whose only one may be at its end.
        """
        found = {str(one): one for one in self._inspectors if one.format_match}
        structured = found.keys() - OPAQUE
        if not structured:
            name = self._opaque_name(found.keys())
            return None if self._declared == "vhd" else mismatch(self._declared, name)
        name = min(structured)
        wrong = mismatch(self._declared, name) if len(structured) == 1 else None
        return wrong or (self._danger(name, found[name]) if found[name].complete else None)

    def _judge(self) -> Verdict:
        found = {str(one): one for one in self._inspectors if one.format_match}
        name = self._opaque_name(found.keys())
        if structured := found.keys() - OPAQUE:
            others = {"iso"} & {name} | ({"mbr"} if self._head[510:512] == BOOTS else set())
            if len(structured | others) > 1:
                names = ", ".join(sorted(structured | others))
                return Verdict(None, None, f"The image looks like several formats at once: {names}.")
            (name,) = structured
            return self._judge_structured(name, found[name])
        if (problem := look_like_another(name, self._declared, self._head, self._tail)) is not None:
            return Verdict(name, None, problem)
        if (footer := vhd_footer(self._tail)) is not None:
            return self._judge_known("vhd", vhd_size(footer), vhd_problem(footer))
        return self._judge_known(name, self._count)

    def _opaque_name(self, found: Set[str]) -> str:
        """Return the format of an opaque stream: a disc, encrypted, compressed, or otherwise raw."""
        if "iso" in found or is_udf(self._volume):
            return "iso"
        if "luks" in found:
            return "luks"
        looks = (name for name, magics in COMPRESSED.items() if self._head.startswith(magics))
        return next(looks, "raw")

    def _judge_structured(self, name: str, inspector: format_inspector.FileInspector) -> Verdict:
        """Judge a format that can name other files, or that states the size of its disk."""
        problem = look_like_another(name, self._declared, self._head, self._tail) or self._danger(
            name, inspector
        )
        if problem is not None:
            return Verdict(name, None, problem)
        if name == "vhd":
            return self._judge_known(name, vhd_size(self._head), vhd_problem(self._head))
        return self._judge_known(name, inspector.virtual_size, parent_problem(name, inspector))

    def _danger(self, name: str, inspector: format_inspector.FileInspector) -> str | None:
        """Return a sentence if the library finds the image unsafe or damaged.

        Safe features of qcow2 that the library does not know are allowed.
        """
        try:
            inspector.safety_check()
        except self._library.SafetyCheckFailed as error:
            failures = set(error.failures)
            if name == "qcow2" and qcow2_features(self._head) & ~QCOW2_FEATURES == 0:
                failures.discard("unknown_features")
            return f"The image is not safe: {', '.join(sorted(failures))}." if failures else None
        except self._library.ImageFormatError:
            return f"The image is a damaged {name}."
        return None

    def _judge_known(self, name: str, virtual_size: int, problem: str | None = None) -> Verdict:
        if name not in OPAQUE and problem is None and virtual_size <= 0:
            problem = f"The image does not state the size of its disk, as {name} must."
        if problem is None and self._cap is not None and not 0 <= virtual_size <= self._cap:
            problem = f"The disk in the image would have more than {self._cap} bytes."
        if problem is None:
            problem = mismatch(self._declared, name)
        # The column holds 63 bits. A larger size is not recorded.
        return Verdict(name, virtual_size if 0 <= virtual_size < 1 << 63 else None, problem)


def _forget(inspector: format_inspector.FileInspector) -> None:
    """Free the captured bytes now. An inspector refers to itself, so it stays until garbage collection."""
    for name in inspector.context_info:
        inspector.region(name).data = b""
