"""Drivers that lose, damage or keep what was written to them. Each is a FolderStore with one mistake."""

import contextlib
import datetime
import io
import os
import threading
import time
from typing import ClassVar

from calotype.stores import Duplicate, Stored, Unavailable
from core.tests.testing.sabotage.folders import FolderStore, with_kits


def drained(source):
    return b"".join(iter(lambda: source.read(1 << 20), b""))


# Zeros.


class LosesTrailingZeros(FolderStore):
    def finish(self, file, written):
        os.fsync(file)


class LosesLeadingZeros(FolderStore):
    def write(self, file, block):
        if block != bytes(len(block)) or os.lseek(file, 0, os.SEEK_CUR):
            super().write(file, block)


class LosesInnerZeros(FolderStore):
    def write(self, file, block):
        if block != bytes(len(block)):
            super().write(file, block)


class LosesABlobOfZeros(FolderStore):
    def finish(self, file, written):
        os.ftruncate(file, written if os.fstat(file).st_blocks else 0)


class TakesAZeroForTheEnd(FolderStore):
    def write(self, file, block):
        super().write(file, block.rstrip(b"\0") if len(block) < 1 << 19 else block)


# An add that returns too early.


class ReturnsBeforeItIsThere(FolderStore):
    """Writes from another thread, and waits for it before it reads."""

    writing = None

    def add(self, key, source, size=None):
        if self.path(self.locate(key)).exists():
            raise Duplicate(self.name, "the key is taken")
        data = drained(source)
        self.writing = threading.Thread(target=self.write_later, args=(key, data))
        self.writing.start()
        return Stored(self.locate(key), len(data))

    def write_later(self, key, data):
        time.sleep(0.2)
        super().add(key, io.BytesIO(data))

    def get(self, location, offset=0, length=None):
        if self.writing:
            self.writing.join()
        return super().get(location, offset, length)


class ReturnsBeforeItIsOnDisk(FolderStore):
    """Keeps new blobs where every instance of this process finds them, and writes them later."""

    new: ClassVar[dict[str, bytes]] = {}

    def add(self, key, source, size=None):
        data = self.new[self.locate(key)] = drained(source)
        threading.Thread(target=self.write_later, args=(key, data)).start()
        return Stored(self.locate(key), len(data))

    def write_later(self, key, data):
        time.sleep(0.2)
        super().add(key, io.BytesIO(data))
        del self.new[self.locate(key)]

    def get(self, location, offset=0, length=None):
        if location in self.new:
            return io.BytesIO(self.new[location][offset:])
        return super().get(location, offset, length)


# Keys.


class CutsKeysAt40(FolderStore):
    def path(self, location):
        path = super().path(location)
        return path.with_name(path.name[:40])


class CutsKeysAt128(FolderStore):
    def path(self, location):
        path = super().path(location)
        return path.with_name(path.name[:128])


# A race that is lost at the end.


class RenamesOverTheWinner(FolderStore):
    def publish(self, part, final):
        os.replace(part, final)


class LooksBeforeItRenames(FolderStore):
    def publish(self, part, final):
        if final.exists():
            raise Duplicate(self.name, "the key is taken")
        os.replace(part, final)


class RemovesTheWinner(FolderStore):
    def publish(self, part, final):
        try:
            super().publish(part, final)
        except Duplicate:
            final.unlink()
            raise


class ReportsThatItHasWon(FolderStore):
    def publish(self, part, final):
        with contextlib.suppress(Duplicate):
            super().publish(part, final)


class RaisesTheErrorOfTheLink(FolderStore):
    def publish(self, part, final):
        os.link(part, final)


class KeepsItsPartWhenItLoses(FolderStore):
    def publish(self, part, final):
        self.lost = final.exists()
        super().publish(part, final)

    def remove_part(self, part):
        if not getattr(self, "lost", False):
            super().remove_part(part)


# What a killed upload leaves.


class HidesItsParts(FolderStore):
    def part(self, key):
        return self.options.path / f".hidden-{os.urandom(8).hex()}"


class DiscardsItsOwnPartsOnly(FolderStore):
    def __init__(self, name, options):
        super().__init__(name, options)
        self.parts = {}

    def part(self, key):
        self.parts[key] = super().part(key)
        return self.parts[key]

    def discard(self, key):
        if part := self.parts.get(key):
            part.unlink(missing_ok=True)


class DiscardsOnlyTheBlob(FolderStore):
    def discard(self, key):
        for path in self.options.path.glob(key):
            path.unlink()


class ListsNoPartOfOthers(DiscardsItsOwnPartsOnly):
    def discard(self, key):
        FolderStore.discard(self, key)

    def attempts(self):
        yield from (one for one in super().attempts() if one.location in self.parts)


class WritesInPlace(FolderStore):
    """Hides what is being written from this process, as a lock in memory does."""

    writing: ClassVar[set[str]] = set()

    def add(self, key, source, size=None):
        path = self.path(self.locate(key))
        if path.exists():
            raise Duplicate(self.name, "the key is taken")
        self.writing.add(path.name)
        try:
            with path.open("wb", buffering=0) as file:
                written = self.copy(source, file.fileno())
        except BaseException:
            path.unlink()
            raise
        finally:
            self.writing.discard(path.name)
        return Stored(self.locate(key), written)

    def path(self, location):
        path = super().path(location)
        return path.with_name("none") if path.name in self.writing else path


class WritesTheFirstBlockInPlace(FolderStore):
    def part(self, key):
        return self.path(self.locate(key))

    def publish(self, part, final):
        pass

    def remove_part(self, part):
        pass


class ListsNoAttempts(FolderStore):
    def attempts(self):
        return iter(())


class ListsAttemptsUnderTheirFiles(FolderStore):
    def attempts(self):
        for path, _ in self.files():
            for one in super().attempts():
                if path.name.startswith(f"{one.location}~"):
                    yield type(one)(path.name, one.size, one.modified)


class DatesAttemptsNow(FolderStore):
    def attempts(self):
        for one in super().attempts():
            yield type(one)(one.location, one.size, now())


def now():
    return datetime.datetime.now(datetime.UTC)


# A place without room.


class ShowsTheErrorOfTheDisk(FolderStore):
    def error(self, error):
        return error


class TakesFullForUnavailable(FolderStore):
    def error(self, error):
        return Unavailable(self.name, "it cannot be written to now")


class KeepsItsPartWhenItIsFull(FolderStore):
    def write(self, file, block):
        self.is_full = True
        super().write(file, block)
        self.is_full = False

    def remove_part(self, part):
        if not self.is_full:
            super().remove_part(part)


# Large blobs.


class SendsOneRequest(FolderStore):
    def finish(self, file, written):
        if written > 3 << 20:
            raise Unavailable(self.name, "the request is too large")
        super().finish(file, written)


class SendsOneRequestIfTheSizeIsKnown(FolderStore):
    def add(self, key, source, size=None):
        if size is not None and size > 16 << 20:
            raise Unavailable(self.name, "the request is too large")
        return super().add(key, source, size)


class CountsOffsetsIn24Bits(FolderStore):
    def get(self, location, offset=0, length=None):
        return super().get(location, offset & 0xFFFFFF, length)


class CountsOffsetsIn32Bits(FolderStore):
    def get(self, location, offset=0, length=None):
        return super().get(location, offset & 0xFFFFFFFF, length)


class CountsOffsetsIn31Bits(FolderStore):
    def get(self, location, offset=0, length=None):
        return super().get(location, offset & 0x7FFFFFFF, length)


class CountsBytesIn32Bits(FolderStore):
    def finish(self, file, written):
        super().finish(file, written & 0xFFFFFFFF)


class ReportsSizesIn32Bits(FolderStore):
    def size(self, location):
        return super().size(location) & 0xFFFFFFFF


class FailsOddlyIfItIsDiscarded(FolderStore):
    def remove_part(self, part):
        part.unlink()


class ReportsADiscardedUploadAsStored(FolderStore):
    def publish(self, part, final):
        with contextlib.suppress(FileNotFoundError):
            super().publish(part, final)


with_kits(globals())
