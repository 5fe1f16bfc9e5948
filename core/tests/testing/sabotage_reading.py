"""Drivers that are each broken in what they read or list. `test_kit_reading.py` has the cases."""

import contextlib
import datetime
import io
import socket
import tempfile
import threading

from calotype.stores import BadLocation, Blob, BlobChanged, BlobNotFound, Unavailable
from core.tests.testing.sabotage_kits import kits_of
from core.tests.testing.sabotaged import KitOfMemory, Sabotage

MIB = 1 << 20


class SmallKit(KitOfMemory):
    """A large blob is one that no block and no part holds."""

    large_size = 20 * MIB
    memory_max = 8 * MIB


class Reads(Sabotage):
    """A correct driver: subclasses break it."""


class ServesDeletedBlobs(Reads):
    """Keeps what it has read, and forgets it only if it deletes the blob itself."""

    def __init__(self, name, options):
        super().__init__(name, options)
        self.kept = {}

    def get(self, location, offset=0, length=None):
        if location not in self.kept:
            self.kept[location] = self._held(location)
        return io.BytesIO(self.kept[location][offset:])

    def delete(self, location):
        super().delete(location)
        self.kept.pop(location, None)


class RemembersSizesOfDeletedBlobs(Reads):
    def __init__(self, name, options):
        super().__init__(name, options)
        self.kept = {}

    def size(self, location):
        if location not in self.kept:
            self.kept[location] = super().size(location)
        return self.kept[location]


class RemembersMissingBlobs(Reads):
    def __init__(self, name, options):
        super().__init__(name, options)
        self.missing = set()

    def _held(self, location):
        if location in self.missing:
            raise BlobNotFound(self.name, "not there")
        try:
            return super()._held(location)
        except BlobNotFound:
            self.missing.add(location)
            raise


class ServesSourcesThatHaveGone(Reads):
    def __init__(self, name, options):
        super().__init__(name, options)
        self.kept = {}

    def _unchanged(self, name, digest):
        if name not in self.kept:
            self.kept[name] = super()._unchanged(name, digest)
        return self.kept[name]


class Watchful(io.BytesIO):
    """A reader that calls `gone` if its blob is deleted."""

    def __init__(self, data, is_there, gone):
        super().__init__(data)
        self.is_there = is_there
        self.gone = gone

    def read(self, size=-1, /):
        return super().read(size) if self.is_there() else self.gone()


class EndsEarlyIfTheBlobIsDeleted(Reads):
    def get(self, location, offset=0, length=None):
        data = self._held(location)[offset:]
        return Watchful(data, lambda: self._key(location) in self.shelf.blobs, lambda: b"")


class FailsOddlyIfTheBlobIsDeleted(Reads):
    def get(self, location, offset=0, length=None):
        def fail():
            raise KeyError(location)

        data = self._held(location)[offset:]
        return Watchful(data, lambda: self._key(location) in self.shelf.blobs, fail)


class CountsToSixteenMebibytes(Reads):
    def size(self, location):
        return super().size(location) % (16 * MIB)


class CountsInFloats(Reads):
    def size(self, location):
        return float(super().size(location))


class ClosesItsReadersOnce(Reads):
    class Once(io.BytesIO):
        def close(self):
            if self.closed and self.used:
                raise ValueError("closed already")
            super().close()

        def read(self, size=-1, /):
            self.used = True
            return super().read(size)

        used = False

    def get(self, location, offset=0, length=None):
        return self.Once(self._held(location)[offset:])


class ReadsAfterClose(Reads):
    class Reused(io.BytesIO):
        def close(self):
            """Keep the buffer, for the next blob."""

    def get(self, location, offset=0, length=None):
        return self.Reused(self._held(location)[offset:])


class FailsBehindTheEnd(Reads):
    def get(self, location, offset=0, length=None):
        if offset and offset >= len(self._held(location)):
            raise BlobChanged(self.name, "it is shorter")
        return super().get(location, offset, length)


class BeginsAgainBehindTheEnd(Reads):
    def get(self, location, offset=0, length=None):
        return super().get(location, offset % (len(self._held(location)) or 1), length)


class ReadsAFileFromItsStart(Reads):
    def get(self, location, offset=0, length=None):
        file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - the reader
        file.write(self._held(location))
        file.seek(0)
        while offset and (block := file.read(min(offset, MIB))):
            offset -= len(block)
        return file


class ReadsASocketFromItsStart(Reads):
    def get(self, location, offset=0, length=None):
        ours, theirs = socket.socketpair()

        def send(data):
            with ours, contextlib.suppress(OSError):
                ours.sendall(data)

        threading.Thread(target=send, args=(self._held(location),), daemon=True).start()
        with theirs:
            reader = theirs.makefile("rb")
        while offset and (block := reader.read(min(offset, MIB))):
            offset -= len(block)
        return reader


class CopiesTheWholeForARange(Reads):
    def get(self, location, offset=0, length=None):
        reader = io.BytesIO(bytearray(self._held(location)))
        reader.seek(offset)
        return reader


class NamesAnotherStoreForOddLocations(Reads):
    def _key(self, location):
        try:
            return super()._key(location)
        except BadLocation:
            raise BadLocation("other", "not a location") from None


class NamesItsFirstInstance(Reads):
    def _held(self, location):
        try:
            return super()._held(location)
        except BlobNotFound:
            raise BlobNotFound("memory", "there is no such blob") from None


class FailsForNoBytes(Reads):
    def get(self, location, offset=0, length=None):
        if length == 0:
            raise Unavailable(self.name, "there is no such range")
        return super().get(location, offset, length)


class RemembersItsListing(Reads):
    def blobs(self):
        if not hasattr(self, "kept"):
            self.kept = {blob.location: blob for blob in super().blobs()}
        return iter(self.kept.values())


class DeletesWhatIsGone(Reads):
    def __init__(self, name, options):
        super().__init__(name, options)
        self.known = set()

    def size(self, location):
        self.known.add(location)
        return super().size(location)

    def delete(self, location):
        if location not in self.known or self._key(location) in self.shelf.blobs:
            super().delete(location)
        self.known.discard(location)


class ListsTheFirstHundred(Reads):
    def blobs(self):
        return iter(list(super().blobs())[:100])


class ListsTheFirstThousand(Reads):
    def blobs(self):
        return iter(list(super().blobs())[:1000])


class ListsTheLastOfEachPageTwice(Reads):
    def blobs(self):
        listed = list(super().blobs())
        for begin in range(0, len(listed), 99):
            yield from listed[begin : begin + 100]


class ListsNoLargeBlobs(Reads):
    kit = KitOfMemory

    def blobs(self):
        return (blob for blob in super().blobs() if blob.size < 64 * MIB)


class ListsLargeBlobsAsTheirLastPart(Reads):
    def blobs(self):
        for blob in super().blobs():
            yield Blob(blob.location, blob.size % (16 * MIB), blob.modified)


class ListsUnfinishedUploads(Reads):
    def blobs(self):
        yield from super().blobs()
        for attempt in self.attempts():
            yield Blob(f"blob:{attempt.location}", attempt.size, attempt.modified)


class ListsPartsAsBlobs(Reads):
    def blobs(self):
        yield from super().blobs()
        for number, attempt in enumerate(self.attempts()):
            yield Blob(f"blob:part-{number}", attempt.size, attempt.modified)


class DatesEveryBlobNow(Reads):
    def blobs(self):
        for blob in super().blobs():
            yield Blob(blob.location, blob.size, datetime.datetime.now(datetime.UTC))


class TakesLocalTimeForUtc(Reads):
    def blobs(self):
        for blob in super().blobs():
            local = datetime.datetime.fromtimestamp(blob.modified.timestamp())
            yield Blob(blob.location, blob.size, local.replace(tzinfo=datetime.UTC))


globals().update(kits_of(Reads, SmallKit, __name__))
