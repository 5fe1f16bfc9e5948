"""Drivers that each give one wrong answer while their place cannot be reached, or that hang.

`test_kit_reading.py` has the cases.
"""

import contextlib
import ctypes
import io
import threading
from concurrent.futures import ThreadPoolExecutor

from pydantic import Field, SecretStr

from calotype.stores import BlobNotFound, Extent, Stored, StoreInfo, Unavailable
from calotype.testing import limits
from calotype.testing.memory import MemoryOptions
from core.tests.testing.sabotage_kits import kits_of
from core.tests.testing.sabotaged import KitOfMemory, Sabotage

# The runs in test_kit_reading.py wait for these times.
limits.AGAIN, limits.GRACE, limits.ENDING = 0.2, 3.0, 1.0


class Absent(Sabotage):
    """A correct driver: subclasses break it. `is_away` is true while its place cannot be reached."""

    @property
    def is_away(self):
        return self.options.shelf.is_away


class CannotFindWhatIsAway(Absent):
    def get(self, location, offset=0, length=None):
        try:
            return super().get(location, offset, length)
        except Unavailable as error:
            raise BlobNotFound(self.name, "not there") from error


class CannotMeasureWhatIsAway(Absent):
    def size(self, location):
        try:
            return super().size(location)
        except Unavailable as error:
            raise BlobNotFound(self.name, "not there") from error


class FindsNothingToDeleteWhileAway(Absent):
    def delete(self, location):
        try:
            super().delete(location)
        except Unavailable as error:
            raise BlobNotFound(self.name, "not there") from error


class DeletesInSilenceWhileAway(Absent):
    def delete(self, location):
        with contextlib.suppress(Unavailable):
            super().delete(location)


class DiscardsInSilenceWhileAway(Absent):
    def discard(self, key):
        with contextlib.suppress(Unavailable):
            super().discard(key)


class ListsNothingWhileAway(Absent):
    def blobs(self):
        with contextlib.suppress(Unavailable):
            yield from super().blobs()


class ListsNoAttemptsWhileAway(Absent):
    def attempts(self):
        with contextlib.suppress(Unavailable):
            yield from super().attempts()


class ChecksNothing(Absent):
    def check(self):
        """Return, whatever is the matter."""


class KeepsUploadsForLater(Absent):
    def add(self, key, source, size=None):
        if not self.is_away:
            return super().add(key, source, size)
        return Stored(f"blob:{key}", len(self.drain(source)))


class AsksItsPlaceToLocate(Absent):
    def locate(self, key):
        self.check()
        return super().locate(key)


class KnowsItsRoomWhileAway(Absent):
    def info(self):
        return StoreInfo()


class KnowsExtentsWhileAway(Absent):
    def extents(self, location, size):
        yield Extent(0, size)


class CannotFindSourcesWhileAway(Absent):
    def register(self, uri):
        try:
            return super().register(uri)
        except Unavailable as error:
            raise BlobNotFound(self.name, "not there") from error


class DistantOptions(MemoryOptions):
    url: str = Field("http://images.internal:8080/pool-a", description="the server")
    token: SecretStr = Field(SecretStr("canary-7f3a"), description="what nobody may see")


class NamesItsAddressWhileAway(Absent):
    Options = DistantOptions

    @property
    def shelf(self):
        try:
            return super().shelf
        except Unavailable:
            raise Unavailable(self.name, f"no answer from {self.options.url}") from None


class NamesAnotherAddressWhileAway(Absent):
    @property
    def shelf(self):
        try:
            return super().shelf
        except Unavailable:
            raise Unavailable(self.name, "no answer from http://10.0.0.7") from None


class NamesItsPathWhileAway(Absent):
    @property
    def shelf(self):
        try:
            return super().shelf
        except Unavailable:
            raise Unavailable(self.name, "there is no /srv/images") from None


class LogsItsSecretWhileAway(Absent):
    Options = DistantOptions

    @property
    def shelf(self):
        try:
            return super().shelf
        except Unavailable as error:
            cause = ConnectionError(f"GET with {self.options.token.get_secret_value()}")
            raise error from cause


class NeverComesBack(Absent):
    has_failed = False

    def _held(self, location):
        self.has_failed = self.has_failed or self.is_away
        if self.has_failed:
            raise Unavailable(self.name, "it has failed before")
        return super()._held(location)


class TakesAReadErrorForTheEnd(Absent):
    def get(self, location, offset=0, length=None):
        store = self

        class Connection(io.BytesIO):
            def read(self, size=-1, /):
                return b"" if store.is_away else super().read(size)

        return Connection(self._held(location)[offset:])


class TakesABrokenListingForTheEnd(Absent):
    def blobs(self):
        for blob in list(super().blobs()):
            if self.is_away:
                return
            yield blob


# Drivers that hang.


class KitOfHanging(KitOfMemory):
    case_seconds = 0.5


def hang():
    threading.Event().wait()


class HangsInGet(Absent):
    kit = KitOfHanging

    def get(self, location, offset=0, length=None):
        hang()


class HangsInAdd(Absent):
    kit = KitOfHanging

    def add(self, key, source, size=None):
        hang()


class HangsInRead(Absent):
    kit = KitOfHanging

    def get(self, location, offset=0, length=None):
        self._held(location)

        class Stuck(io.BytesIO):
            def read(self, size=-1, /):
                hang()

        return Stuck()


class HangsInClose(Absent):
    kit = KitOfHanging

    def close(self):
        hang()


class HangsAgainAfterTheAlarm(Absent):
    kit = KitOfHanging

    def get(self, location, offset=0, length=None):
        try:
            hang()
        finally:
            hang()


class HangsInAThreadOfItsOwn(Absent):
    kit = KitOfHanging

    def get(self, location, offset=0, length=None):
        with ThreadPoolExecutor() as threads:
            return threads.submit(hang).result()


class HangsInC(Absent):
    """Waits for a mutex that it holds, which no signal ends."""

    kit = KitOfHanging

    def get(self, location, offset=0, length=None):
        mutex = ctypes.create_string_buffer(256)
        while True:
            ctypes.CDLL(None).pthread_mutex_lock(mutex)


globals().update(kits_of(Absent, KitOfMemory, __name__))
