"""fsck: does the registry say what the stores hold, and do the stores hold what it says?

Registry to store: every blob that an image has is looked for; it can be missing, of the
wrong size or, where its bytes are read too, of the wrong digest. Store to registry: what
lies in a store and belongs to no row, be it that of an upload that runs, is an orphan.
What is younger than a window is never touched either; nothing is, unless repairing is asked
for, and then only orphans go.
"""

from __future__ import annotations

import datetime
import enum
import hashlib
import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass

from calotype.registry import Registry, StoredLocation
from calotype.stores.checked import BLOCK, CheckedStore
from calotype.stores.contract import Blob, Capability
from calotype.stores.errors import BlobNotFound, StoreError

_BATCH = 500


class Fault(enum.StrEnum):
    """What can be wrong."""

    MISSING = "missing"  #: an image's bytes are not there
    WRONG_SIZE = "wrong size"
    WRONG_DIGEST = "wrong digest"
    UNREADABLE = "unreadable"  #: the store could not tell
    ORPHAN = "orphan"  #: a blob that belongs to no image
    LEFTOVER = "leftover"  #: parts of an upload that nobody knows


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong: in which store, with which image or where, and whether it is mended."""

    store: str
    fault: Fault
    key: str
    image_id: str | None = None
    repaired: bool = False


@dataclass(frozen=True, slots=True)
class Progress:
    """One thing that was looked at and is well; `key` is where to go on after an interruption."""

    store: str
    key: str


Step = Finding | Progress


class Check:
    """One run over one store."""

    def __init__(
        self, registry: Registry, store: CheckedStore, *, window: float, rate: float | None, repair: bool
    ):
        """`window`: seconds; `rate`: bytes a second to read at, None reads none; `repair`: remove orphans."""
        self._registry = registry
        self._store = store
        self._oldest = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=window)
        self._rate = rate
        self._repair = repair

    def run(self, after: str = "") -> Iterator[Step]:
        """Both directions; `after`: the key after which the first one goes on."""
        yield from self.look_for_blobs(after)
        if self._store.can(Capability.LISTING):
            yield from self.look_for_owners()
            yield from self.look_for_leftovers()

    def look_for_blobs(self, after: str = "") -> Iterator[Step]:
        """Registry to store, in the order of keys."""
        while batch := self._registry.stored_locations(self._store.name, after, _BATCH):
            for stored in batch:
                fault = self._examine(stored)
                after = stored.key
                if fault is None:
                    yield Progress(self._store.name, stored.key)
                else:
                    yield Finding(self._store.name, fault, stored.key, stored.image_id)

    def look_for_owners(self) -> Iterator[Step]:
        """Store to registry: blobs."""
        for batch in _batches(blob for blob in self._store.blobs() if blob.modified < self._oldest):
            # Attempts first: one that is kept meanwhile is found among the locations.
            known = {self._store.locate(key) for key in self._registry.unplaced_keys(self._store.name)}
            known |= self._registry.known_locations(self._store.name, [blob.location for blob in batch])
            for blob in batch:
                if blob.location in known or self._is_gone(blob):
                    yield Progress(self._store.name, blob.location)
                else:
                    yield self._found(Fault.ORPHAN, blob)

    def look_for_leftovers(self) -> Iterator[Step]:
        """Store to registry: what unfinished uploads left."""
        for batch in _batches(part for part in self._store.attempts() if part.modified < self._oldest):
            known = self._registry.known_keys([part.location for part in batch])
            for part in batch:
                if part.location not in known:
                    yield self._found(Fault.LEFTOVER, part)

    def _examine(self, stored: StoredLocation) -> Fault | None:
        try:
            size = self._store.size(stored.location)
            if size is not None and stored.size is not None and size != stored.size:
                return Fault.WRONG_SIZE
            if self._rate is not None and stored.sha256 is not None and self._digest(stored) != stored.sha256:
                return Fault.WRONG_DIGEST
        except BlobNotFound:
            # An image that was deleted since its row was read misses nothing.
            return Fault.MISSING if self._registry.has_stored(stored.key) else None
        except StoreError:
            return Fault.UNREADABLE
        return None

    def _is_gone(self, blob: Blob) -> bool:
        """Whether a blob was deleted since it was listed, as its image's row was."""
        try:
            self._store.size(blob.location)
        except BlobNotFound:
            return True
        except StoreError:
            return False
        return False

    def _digest(self, stored: StoredLocation) -> str:
        digest = hashlib.sha256()
        began, count = time.monotonic(), 0
        reader = self._store.get(stored.location)
        try:
            while block := reader.read(BLOCK):
                digest.update(block)
                count += len(block)
                early = count / (self._rate or count) - (time.monotonic() - began)
                if early > 0:
                    time.sleep(early)
        finally:
            reader.close()
        return digest.hexdigest()

    def _found(self, fault: Fault, blob: Blob) -> Finding:
        repaired = False
        if self._repair and blob.location:
            try:
                if fault is Fault.ORPHAN:
                    self._store.delete(blob.location)
                else:
                    self._store.discard(blob.location)
                repaired = True
            except BlobNotFound:
                repaired = True
            except StoreError:
                repaired = False
        return Finding(self._store.name, fault, blob.location, repaired=repaired)


def _batches(blobs: Iterator[Blob]) -> Iterator[list[Blob]]:
    while batch := list(itertools.islice(blobs, _BATCH)):
        yield batch
