"""Drivers that fail if their place is full or too small. Each is a FolderStore with one mistake."""

import errno
import os

from calotype.stores import StoreFull
from core.tests.testing.sabotage.folders import FolderStore, with_kits


class _Notes(FolderStore):
    def note(self):
        """Write a few bytes, which fails if the disk is full."""
        with self.translated():
            path = self.part("note")
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC)
            try:
                os.write(file, b"note")
            finally:
                os.close(file)
                path.unlink()


class NeedsRoomToRead(_Notes):
    def get(self, location, offset=0, length=None):
        reader = super().get(location, offset, length)
        self.note()
        return reader


class NeedsRoomToMeasure(_Notes):
    def size(self, location):
        size = super().size(location)
        self.note()
        return size


class NeedsRoomToList(_Notes):
    def blobs(self):
        self.note()
        return super().blobs()


class NeedsRoomToDelete(_Notes):
    def delete(self, location):
        self.size(location)
        self.note()
        super().delete(location)


class NeedsRoomToDiscard(_Notes):
    def discard(self, key):
        self.note()
        super().discard(key)


class TakesTooLargeForFull(FolderStore):
    def error(self, error):
        return StoreFull(self.name, "it is full") if error.errno == errno.EFBIG else super().error(error)


with_kits(globals())
