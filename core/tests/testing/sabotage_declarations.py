"""Drivers that each say one wrong thing about their blobs, or copy them wrongly.

`test_kit_reading.py` has the cases.
"""

import base64
import tempfile
from pathlib import Path

from calotype.stores import BlobNotFound, DirectUrl, Duplicate, Extent, Listing, LocalFiles, Stored, StoreInfo
from calotype.testing import declarations
from core.tests.testing.sabotage_kits import kits_of
from core.tests.testing.sabotaged import KitOfMemory, Sabotage

# The store has the clock of this machine.
declarations.SKEW = 0


class Says(Sabotage):
    """A correct driver: subclasses break it."""


class LosesItsRanges(Says):
    ranges = False


class LosesItsListing(Says):
    withheld = frozenset({Listing})


class ChangesItsLocations(Says):
    def locate(self, key):
        return f"blob:{key}.v2"

    def add(self, key, source, size=None):
        return super().add(f"{key}.v2", source, size)

    def discard(self, key):
        super().discard(f"{key}.v2")


class LeavesAGapInExtents(Says):
    def extents(self, location, size):
        yield from (Extent(0, size // 2), Extent(size // 2 + 1, size))


class ForgetsTheLastExtent(Says):
    def extents(self, location, size):
        if size > 1:
            yield Extent(0, size - 1)


class CallsDataHoles(Says):
    def extents(self, location, size):
        self._held(location)
        if size:
            yield Extent(0, size, is_data=False)


class RoundsHolesUp(Says):
    """Reports holes in whole mebibytes, and has data in the last of them."""

    def extents(self, location, size):
        if size > 5 << 20:
            yield from (Extent(0, 1 << 20), Extent(1 << 20, size - (1 << 20), is_data=False))
        else:
            yield from super().extents(location, size)


class KnowsExtentsOfMissingBlobs(Says):
    def extents(self, location, size):
        yield Extent(0, size)


class HasMoreFreeThanThereIs(Says):
    def info(self):
        return StoreInfo(capacity=1000, free=2000)


class HasLessThanNothing(Says):
    def info(self):
        return StoreInfo(free=-1)


class AcceptsMoreThanItCanHold(Says):
    def info(self):
        return StoreInfo(capacity=1000, largest=2000)


# Paths.


class KitOfPaths(KitOfMemory):
    def directory(self, store):
        return store.folder


class NamesAnotherFile(Says, LocalFiles):
    kit = KitOfPaths

    def __init__(self, name, options):
        super().__init__(name, options)
        self.folder = Path(tempfile.gettempdir())

    def file_path(self, location):
        (self.folder / "calotype-kit-another").write_bytes(b"another")
        return "calotype-kit-another"


class HasAPathForAnyLocation(Says, LocalFiles):
    def file_path(self, location):
        return location.removeprefix("blob:")


# Direct URLs.


class HasNoUrl(Says, DirectUrl):
    def direct_url(self, location, expires):
        return None


class SignsAnyLocation(Says, DirectUrl):
    def direct_url(self, location, expires):
        return f"http://127.0.0.1/{location}?signature"


class HasUrlsThatNeverExpire(Says, DirectUrl):
    def direct_url(self, location, expires):
        return f"data:application/octet-stream;base64,{base64.b64encode(self._held(location)).decode()}"


# Copies.


class CopiesNothing(Says):
    def copy_from(self, key, source, location, size):
        return Stored(f"blob:{key}", size)


class CopiesHalf(Says):
    def copy_from(self, key, source, location, size):
        return self.force(key, source.get(location).read(size // 2))


class LeavesACopyAndDeniesIt(Says):
    def copy_from(self, key, source, location, size):
        self.force(key, source.get(location).read())


class MovesInsteadOfCopying(Says):
    def copy_from(self, key, source, location, size):
        stored = self.force(key, source.get(location).read())
        source.delete(location)
        return stored


class CopiesByReference(Says):
    """Refers to the first blob, whose end is the copy's end, too."""

    def __init__(self, name, options):
        super().__init__(name, options)
        self.references = {}

    def copy_from(self, key, source, location, size):
        source.size(location)
        self.references[f"blob:{key}"] = location
        return Stored(f"blob:{key}", size)

    def _held(self, location):
        return super()._held(self.references.get(location, location))


class CopiesOnlyFromItself(Says):
    """Believes that each location is its own, and has empty blobs where it is not."""

    def copy_from(self, key, source, location, size):
        data, _ = self.shelf.blobs.get(location.removeprefix("blob:"), (b"", None))
        return self.force(key, data)


class CopiesMissingBlobs(Says):
    def copy_from(self, key, source, location, size):
        try:
            return self.force(key, source.get(location).read())
        except BlobNotFound:
            return self.force(key, b"")


class CopiesOverATakenKey(Says):
    def copy_from(self, key, source, location, size):
        return self.force(key, source.get(location).read())


class ClearsATakenKeyBeforeItRefuses(Says):
    def copy_from(self, key, source, location, size):
        if self.shelf.blobs.pop(key, None):
            raise Duplicate(self.name, "the key is taken")
        return self.force(key, source.get(location).read())


globals().update(kits_of(Says, KitOfMemory, __name__))
