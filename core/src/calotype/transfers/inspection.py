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

#: The inspectors see this much in one piece, so that no verdict hangs on how a stream was cut.
_FIRST = 1 << 20
#: Bytes of a stream's head that are kept for the rules of our own.
_HEAD = 4096
#: What an inspector raises because this process is short of something, never because of the image.
_SHORTAGE = (MemoryError, OSError)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a stream is: its format by oslo.utils' name, the disk's size in bytes if told, and what is wrong.

    `problem` is a sentence for the client, None when there is none.
    """

    format: str | None
    virtual_size: int | None
    problem: str | None = None


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
        if structured := found.keys() - OPAQUE:
            others = {"iso"} & {name} | ({"mbr"} if self._head[510:512] == BOOTS else set())
            if len(structured | others) > 1:
                names = ", ".join(sorted(structured | others))
                return Verdict(None, None, f"The image is several things at once: {names}.")
            (name,) = structured
            return self._judge_structured(name, found[name])
        if (problem := look_like_another(name, self._declared, self._head, self._tail)) is not None:
            return Verdict(name, None, problem)
        if (footer := vhd_footer(self._tail)) is not None:
            return self._judge_known("vhd", vhd_size(footer), vhd_problem(footer))
        return self._judge_known(name, self._count)

    def _opaque_name(self, found: Set[str]) -> str:
        """Return the name of an opaque stream: a disc's, an encrypted or a compressed one's, or just raw."""
        if "iso" in found or is_udf(self._volume):
            return "iso"
        if "luks" in found:
            return "luks"
        looks = (name for name, magics in COMPRESSED.items() if self._head.startswith(magics))
        return next(looks, "raw")

    def _judge_structured(self, name: str, inspector: format_inspector.FileInspector) -> Verdict:
        """Judge a format that can name other files, or has a size of its own."""
        problem = look_like_another(name, self._declared, self._head, self._tail) or self._danger(
            name, inspector
        )
        if problem is not None:
            return Verdict(name, None, problem)
        if name == "vhd":
            return self._judge_known(name, vhd_size(self._head), vhd_problem(self._head))
        return self._judge_known(name, inspector.virtual_size, parent_problem(name, inspector))

    def _danger(self, name: str, inspector: format_inspector.FileInspector) -> str | None:
        """Return what the library finds unsafe, but for features of a qcow2 that it does not know."""
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
            problem = f"The image does not say how large its disk is, as {name} does."
        if problem is None and self._cap is not None and not 0 <= virtual_size <= self._cap:
            problem = f"The disk in the image would have more than {self._cap} bytes."
        if problem is None:
            problem = mismatch(self._declared, name)
        # A column has 63 bits; a disk that claims more is none.
        return Verdict(name, virtual_size if 0 <= virtual_size < 1 << 63 else None, problem)


def _forget(inspector: format_inspector.FileInspector) -> None:
    """Let go of what it captured: it refers to itself, and would lie there until garbage is collected."""
    for name in inspector.context_info:
        inspector.region(name).data = b""
