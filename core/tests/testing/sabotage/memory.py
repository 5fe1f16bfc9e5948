"""Drivers that hold too much memory for some of their readers. Each is a FolderStore with one mistake."""

import io
import mmap
import os

from core.tests.testing.sabotage.folders import FolderStore, with_kits

MIB = 1 << 20


class _Buffered(io.FileIO):
    """A file with a large buffer of its own, which counts as used memory from the start."""

    def __init__(self, file):
        super().__init__(file, closefd=True)
        self.buffer = mmap.mmap(-1, 12 * MIB)
        for page in range(0, len(self.buffer), mmap.PAGESIZE):
            self.buffer[page] = 1


class HasALargeBufferForEachReader(FolderStore):
    def get(self, location, offset=0, length=None):
        with super().get(location, offset, length) as file:
            return _Buffered(os.dup(file.fileno()))


class MapsARangeFromItsStart(FolderStore):
    """Reads the bytes before a range through a memory map, which no system call reports."""

    def get(self, location, offset=0, length=None):
        file = super().get(location, offset, length)
        if 0 < offset < self.size(location):
            with mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped:
                sum(mapped[page] for page in range(0, offset, mmap.PAGESIZE))
        return file


with_kits(globals())
