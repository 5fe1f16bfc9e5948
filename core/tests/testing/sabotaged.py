"""Drivers that are each broken in one way. `test_kit.py` names the case that must fail for each.

Every class is a MemoryStore with one defect. Only the runs in `test_kit.py` collect it.
"""

import contextlib
import dataclasses
import datetime
import io
import threading
from typing import ClassVar

import pytest
from pydantic import Field, SecretStr

from calotype.stores import (
    BadLocation,
    Blob,
    BlobNotFound,
    DirectUrl,
    Duplicate,
    Stored,
    StoreOptions,
    Unavailable,
)
from calotype.stores.measured import BLOCK
from calotype.testing import MemoryStore, StoreConformance, pattern
from calotype.testing.memory import Attempt, MemoryOptions

MODIFIED = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)


class KitOfMemory(StoreConformance):
    """The kit with MemoryStore's hooks; subclasses name the driver."""

    part_size = 70_001
    listing_size = 1001
    survives_processes = False
    abilities = frozenset({"WritableStore", "Listing", "External", "Parts", "ranges"})
    location_form = "blob:{key}"
    driver: ClassVar[type[MemoryStore]] = MemoryStore

    @classmethod
    def sizes(cls):
        return [0, 1, cls.part_size, BLOCK + 1]

    @pytest.fixture
    def store(self):
        return self.driver("memory", self.driver.Options())

    def plant(self, store, data):
        name = f"planted-{len(store.shelf.foreign)}"
        store.shelf.foreign[name] = data
        return f"memory:{name}"

    def replant(self, store, planted, data):
        store.shelf.foreign[planted.removeprefix("memory:")] = data

    def uproot(self, store, planted):
        del store.shelf.foreign[planted.removeprefix("memory:")]

    @contextlib.contextmanager
    def take_away(self, store):
        store.options.shelf.is_away = True
        yield
        store.options.shelf.is_away = False


class Sabotage(MemoryStore):
    """Helpers for sinners."""

    def force(self, key, data):
        with self.shelf.lock:
            self.shelf.blobs[key] = (data, datetime.datetime.now(datetime.UTC))
        return Stored(f"blob:{key}", len(data))

    @staticmethod
    def drain(source):
        blocks = []
        while block := source.read(1 << 20):
            blocks.append(block)
        return b"".join(blocks)


class KeepsTheHalfItGot(Sabotage):
    def add(self, key, source, size=None):
        buffer = io.BytesIO()
        try:
            while block := source.read(1 << 20):
                buffer.write(block)
        except BaseException:
            self.force(key, buffer.getvalue())
            raise
        return self.force(key, buffer.getvalue())


class CleansUpOnlyAfterExceptions(Sabotage):
    def add(self, key, source, size=None):
        try:
            return super().add(key, source, size)
        except Exception:
            raise
        except BaseException:
            self.force(key, b"half")
            raise


class ForgetsItsAttempts(Sabotage):
    def add(self, key, source, size=None):
        self.shelf.attempts[id(source)] = Attempt(key, io.BytesIO(b"part"))
        stored = super().add(key, source, size)
        del self.shelf.attempts[id(source)]
        return stored


class ReadsOnce(Sabotage):
    def add(self, key, source, size=None):
        return self.force(key, source.read(1 << 30))


class StopsAtAShortRead(Sabotage):
    def add(self, key, source, size=None):
        data = b""
        while True:
            block = source.read(1 << 20)
            data += block
            if len(block) < 1 << 20:
                return self.force(key, data)


class BelievesTheAnnouncedSize(Sabotage):
    def add(self, key, source, size=None):
        return Stored(super().add(key, source, size).location, size if size is not None else 0)


class VouchesForOtherBytes(Sabotage):
    def add(self, key, source, size=None):
        return dataclasses.replace(super().add(key, source, size), md5="0" * 32)


class NeedsASize(Sabotage):
    def add(self, key, source, size=None):
        if size is None:
            raise Unavailable(self.name, "it needs a size")
        return super().add(key, source, size)


class Overwrites(Sabotage):
    def add(self, key, source, size=None):
        return self.force(key, self.drain(source))


class LooksBeforeItLeaps(Sabotage):
    """Checks the key first and writes last, with nothing to hold the two together."""

    def add(self, key, source, size=None):
        if key in self.shelf.blobs:
            raise Duplicate(self.name, "taken")
        return self.force(key, self.drain(source))


class ShowsWhatIsNotWhole(Sabotage):
    def add(self, key, source, size=None):
        if key in self.shelf.blobs:
            raise Duplicate(self.name, "taken")
        data = b""
        try:
            while block := source.read(1 << 20):
                data += block
                self.force(key, data)
        except BaseException:
            self.shelf.blobs.pop(key, None)
            raise
        return self.force(key, data)


class SharesABuffer(Sabotage):
    """Keeps the upload in the driver instead of in the call."""

    def add(self, key, source, size=None):
        self.buffer = b""
        while block := source.read(1 << 20):
            held = self.buffer
            threading.Event().wait(0.0005)
            self.buffer = held + block
        self.force(key, self.buffer)
        return Stored(f"blob:{key}", len(self.buffer))


class TakesSourceErrorsForItsOwn(Sabotage):
    def add(self, key, source, size=None):
        try:
            return super().add(key, source, size)
        except Exception as error:
            raise Unavailable(self.name, "something went wrong") from error


class LocatesElsewhere(Sabotage):
    def locate(self, key):
        return f"blob:{key}x"


class LocatesForItselfOnly(Sabotage):
    """Computes locations from a secret of this instance."""

    def add(self, key, source, size=None):
        super().add(f"{key}.{id(self) % 1000}", source, size)
        return Stored(self.locate(key), len(self._held(self.locate(key))))

    def locate(self, key):
        return f"blob:{key}.{id(self) % 1000}"


class SaysMissingTooLate(Sabotage):
    class Late:
        def __init__(self, store):
            self.store = store

        def read(self, size=-1, /):
            raise BlobNotFound(self.store, "not there")

        def close(self):
            pass

    def get(self, location, offset=0, length=None):
        try:
            return super().get(location, offset, length)
        except BlobNotFound:
            return self.Late(self.name)


class ForgetsItsName(Sabotage):
    def get(self, location, offset=0, length=None):
        try:
            return super().get(location, offset, length)
        except BlobNotFound:
            raise BlobNotFound("store", "not there") from None


class NeverEnds(Sabotage):
    def get(self, location, offset=0, length=None):
        self._held(location)

        class Forever:
            def read(self, size=-1, /):
                return pattern(1000)

            def close(self):
                pass

        return Forever()


class GivesMoreThanAsked(Sabotage):
    def get(self, location, offset=0, length=None):
        held = super().get(location, offset, length)

        class Generous:
            def read(self, size=-1, /):
                return held.read(size + 1)

            close = held.close

        return Generous()


class IgnoresTheOffset(Sabotage):
    def get(self, location, offset=0, length=None):
        return super().get(location)


class IsOffByOne(Sabotage):
    def get(self, location, offset=0, length=None):
        return super().get(location, offset + 1 if offset else 0, length)


class SharesItsReader(Sabotage):
    def __init__(self, name, options):
        super().__init__(name, options)
        self.readers = {}

    def get(self, location, offset=0, length=None):
        data = self._held(location)
        reader = self.readers.setdefault(location, io.BytesIO(data))
        return reader if not reader.closed else io.BytesIO(data)


class RunsOutOfReaders(Sabotage):
    """Gives a connection back only when its reader was read to the end."""

    def __init__(self, name, options):
        super().__init__(name, options)
        self.free = 10

    def get(self, location, offset=0, length=None):
        data = self._held(location)
        if not self.free:
            raise Unavailable(self.name, "no connection is free")
        self.free -= 1
        store = self

        class Connection(io.BytesIO):
            def read(self, size=-1, /):
                block = super().read(size)
                if not block:
                    store.free += 1
                return block

        return Connection(data)


class FailsAtASecondClose(Sabotage):
    closed = False

    def close(self):
        if self.closed:
            raise RuntimeError("closed already")
        self.closed = True


class LeavesAThread(Sabotage):
    def get(self, location, offset=0, length=None):
        threading.Thread(target=threading.Event().wait, args=(30,), daemon=True, name="left").start()
        return super().get(location, offset, length)


class DeletesNothing(Sabotage):
    def delete(self, location):
        self._held(location)


class DeletesInSilence(Sabotage):
    def delete(self, location):
        with contextlib.suppress(BlobNotFound):
            super().delete(location)


class DeletesByPrefix(Sabotage):
    def delete(self, location):
        self._held(location)
        for key in [key for key in self.shelf.blobs if key.startswith(self._key(location))]:
            del self.shelf.blobs[key]


class DiscardsByPrefix(Sabotage):
    def discard(self, key):
        for held in [held for held in self.shelf.blobs if held.startswith(key)]:
            del self.shelf.blobs[held]


class CannotDiscardTheUnknown(Sabotage):
    def discard(self, key):
        self.delete(f"blob:{key}")


class TrimsLocations(Sabotage):
    def get(self, location, offset=0, length=None):
        return super().get(location.strip(), offset, length)


class ReadsAnyLocation(Sabotage):
    """Opens whatever file a location names."""

    def get(self, location, offset=0, length=None):
        try:
            return super().get(location, offset, length)
        except BadLocation:
            return open(location.removeprefix("file:"), "rb")


class FailsOddly(Sabotage):
    def size(self, location):
        try:
            return super().size(location)
        except BlobNotFound as error:
            raise KeyError(location) from error


class ListsWithoutDates(Sabotage):
    def blobs(self):
        for blob in super().blobs():
            yield Blob(blob.location, blob.size, blob.modified.replace(tzinfo=None))


class ListsHalf(Sabotage):
    def blobs(self):
        yield from list(super().blobs())[::2]


class ListsWrongSizes(Sabotage):
    def blobs(self):
        for blob in super().blobs():
            yield Blob(blob.location, blob.size + 1, blob.modified)


class PromisesUrlsAndHasNone(Sabotage, DirectUrl):
    def direct_url(self, location, expires):
        return "http://127.0.0.1:1/nothing"


class ReadsAChangedSource(Sabotage):
    def _unchanged(self, name, digest):
        return self.shelf.foreign[name]


class RegistersWhatIsNotThere(Sabotage):
    def register(self, uri):
        try:
            return super().register(uri)
        except BlobNotFound:
            return Stored(f"{uri}#{'0' * 64}", None)


class KeepsItsBlobsToItself(Sabotage):
    """Keeps its bytes in the instance: another process would not see them."""

    def __init__(self, name, options):
        super().__init__(name, options)
        self.own = type(options.shelf)()

    @property
    def shelf(self):
        return self.own


class WipesAtCreate(Sabotage):
    def create(self):
        self.shelf.blobs.clear()


class SecretOptions(MemoryOptions):
    token: SecretStr = Field(SecretStr("canary-7f3a"), description="what nobody may see")


class TellsItsSecret(Sabotage):
    Options = SecretOptions

    def __repr__(self):
        return f"<TellsItsSecret {self.options.token.get_secret_value()}>"


class LogsItsSecretInErrors(Sabotage):
    Options = SecretOptions

    def get(self, location, offset=0, length=None):
        try:
            return super().get(location, offset, length)
        except BadLocation:
            token = self.options.token.get_secret_value()
            raise BadLocation(self.name, f"no {location} with {token}") from None


class PutsItsSecretIntoLocations(Sabotage):
    Options = SecretOptions

    def add(self, key, source, size=None):
        return super().add(f"{key}.{self.options.token.get_secret_value()}", source, size)


class LaxOptions(MemoryOptions):
    model_config = StoreOptions.model_config | {"extra": "ignore"}


class TakesAnyOption(Sabotage):
    Options = LaxOptions


for _sinner in Sabotage.__subclasses__():
    globals()[f"Test{_sinner.__name__}"] = type(
        f"Test{_sinner.__name__}", (KitOfMemory,), {"driver": _sinner, "__module__": __name__}
    )
