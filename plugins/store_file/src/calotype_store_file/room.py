"""The room for images: what the quota, the file system and the process's own limit allow."""

from __future__ import annotations

import os
import resource

from calotype.stores import StoreFull, StoreInfo, TooLarge
from calotype_store_file import layout

#: Bytes to keep free on the file system by default; 1 % of the file system if that is less.
MIN_FREE = 256 << 20


class Room:
    """The limits of one store's directory, which each method gets as an open descriptor."""

    def __init__(self, store: str, quota: int | None, min_free: int | None):
        """Limit all images to `quota` bytes together, and keep `min_free` bytes of the file system free."""
        self._store = store
        self._quota = None if quota is None else int(quota)
        self._min_free = min_free

    def info(self, root: int) -> StoreInfo:
        """Return the room of the directory. With a quota, this adds up the sizes of all images."""
        disk = os.fstatvfs(root)
        free, left = disk.f_bavail * disk.f_frsize - self._reserve(disk), self.quota_left(root)
        capacity = self._capacity(disk)
        return StoreInfo(capacity, max(0, free if left is None else min(free, left)), _one_file(capacity))

    def quota_left(self, root: int) -> int | None:
        """Return the bytes that the quota leaves; None without a quota."""
        return None if self._quota is None else self._quota - sum(blob.size for blob in layout.blobs(root))

    def admit(self, root: int, size: int) -> None:
        """Raise TooLarge if an image of `size` bytes can never fit, not even into the empty directory."""
        largest = _one_file(self._capacity(os.fstatvfs(root)))
        if size > largest:
            raise TooLarge(
                self._store, f"the image has {size} bytes, and it can hold images of at most {largest} bytes"
            )

    def require(self, root: int, left: int | None, size: int, coming: int | None = None) -> None:
        """Raise StoreFull unless `size` bytes fit, of which `coming` (None: all) are not written yet.

        `left` is what the quota leaves.
        """
        if left is not None and size > left:
            raise StoreFull(self._store, "it is full: its quota is used up")
        disk, coming = os.fstatvfs(root), size if coming is None else coming
        if disk.f_bavail * disk.f_frsize - coming < self._reserve(disk):
            raise StoreFull(self._store, "its disk is full: the remaining space stays free (option min_free)")

    def _reserve(self, disk: os.statvfs_result) -> int:
        """Return the bytes to keep free."""
        if self._min_free is not None:
            return self._min_free
        return min(MIN_FREE, disk.f_blocks * disk.f_frsize // 100)

    def _capacity(self, disk: os.statvfs_result) -> int:
        """Return the room for all images if nothing else were on the file system."""
        # Only root can use the free blocks that the file system reserves.
        blocks = disk.f_blocks - (disk.f_bfree - disk.f_bavail)
        capacity = max(0, blocks * disk.f_frsize - self._reserve(disk))
        return capacity if self._quota is None else min(capacity, self._quota)


def _one_file(size: int) -> int:
    """Return `size`, or the process's limit on the size of a file if that is less."""
    limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    return size if limit == resource.RLIM_INFINITY else min(size, limit)
