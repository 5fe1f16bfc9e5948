"""Drivers that take from their process what others need, or disclose what they know."""

import hashlib
import io
import mmap
import os
import socket
import threading

from pydantic import Field, SecretStr

from calotype.stores import BlobNotFound, Duplicate
from calotype.stores.toolkit import key_of
from core.tests.testing.sabotage.folders import FolderOptions, FolderStore, with_kits

# Memory.


class BuffersInAMapping(FolderStore):
    """Holds an upload in memory that Python's allocator does not know."""

    def copy(self, source, file):
        held, written = mmap.mmap(-1, 128 << 20), 0
        while block := source.read(1 << 19):
            held[written : written + len(block)] = block
            written += len(block)
        with memoryview(held) as view:
            os.write(file, view[:written])
        held.close()
        self.finish(file, written)
        return written


class MapsWhatItReads(FolderStore):
    def get(self, location, offset=0, length=None):
        with super().get(location) as file:
            if not self.size(location):
                return io.BytesIO()
            mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
        mapped.seek(min(offset, len(mapped)))
        return mapped


# Calls that wait for each other, or mix.


class HasOneLock(FolderStore):
    def __init__(self, name, options):
        super().__init__(name, options)
        self.lock = threading.Lock()

    def add(self, key, source, size=None):
        with self.lock:
            return super().add(key, source, size)

    def get(self, location, offset=0, length=None):
        with self.lock:
            return super().get(location, offset, length)


class UploadsOneAtATime(HasOneLock):
    def get(self, location, offset=0, length=None):
        return FolderStore.get(self, location, offset, length)


class ListsUnderTheLockOfUploads(UploadsOneAtATime):
    def add(self, key, source, size=None):
        return FolderStore.add(self, key, source, size)

    def copy(self, source, file):
        written = 0
        while True:
            with self.lock:
                block = source.read(1 << 19)
            if not block:
                self.finish(file, written)
                return written
            self.write(file, block)
            written += len(block)

    def blobs(self):
        with self.lock:
            yield from super().blobs()


class _Counted(io.FileIO):
    """A file that gives a connection back when it is closed."""

    def __init__(self, file, free):
        super().__init__(file, closefd=True)
        self.free = free

    def close(self):
        if not self.closed:
            self.free.release()
        super().close()


class HasEightConnections(FolderStore):
    def __init__(self, name, options):
        super().__init__(name, options)
        self.free = threading.Semaphore(8)

    def get(self, location, offset=0, length=None):
        with super().get(location, offset, length) as file:
            kept = os.dup(file.fileno())
        self.free.acquire()
        return _Counted(kept, self.free)


class HasEightConnectionsForUploads(HasEightConnections):
    def get(self, location, offset=0, length=None):
        return FolderStore.get(self, location, offset, length)

    def add(self, key, source, size=None):
        with self.free:
            return super().add(key, source, size)


class _Shared(io.FileIO):
    """A file whose bytes pass through the buffer of its store."""

    def __init__(self, file, buffer):
        super().__init__(file, closefd=True)
        self.buffer = buffer

    def read(self, size=-1, /):
        view = memoryview(self.buffer)[: size if 0 <= size < len(self.buffer) else len(self.buffer)]
        return bytes(view[: self.readinto(view)])


class ReadsThroughOneBuffer(FolderStore):
    def __init__(self, name, options):
        super().__init__(name, options)
        self.buffer = bytearray(1 << 16)

    def get(self, location, offset=0, length=None):
        with super().get(location, offset, length) as file:
            return _Shared(os.dup(file.fileno()), self.buffer)


# What is left over.


class _Leaky(FolderStore):
    def leak(self):
        os.open(os.devnull, os.O_RDONLY)

    def leak_a_thread(self):
        threading.Thread(target=threading.Event().wait, args=(60,), daemon=True).start()


class LeaksWhenItReads(_Leaky):
    def get(self, location, offset=0, length=None):
        reader = super().get(location, offset, length)
        self.leak()
        return reader


class LeaksAThreadWhenItReads(_Leaky):
    def get(self, location, offset=0, length=None):
        reader = super().get(location, offset, length)
        self.leak_a_thread()
        return reader


class LeaksWhenNothingIsThere(_Leaky):
    def size(self, location):
        try:
            return super().size(location)
        except BlobNotFound:
            self.leak()
            raise


class LeaksWhenItAdds(_Leaky):
    def publish(self, part, final):
        super().publish(part, final)
        self.leak()


class LeaksAThreadWhenItAdds(_Leaky):
    def publish(self, part, final):
        super().publish(part, final)
        self.leak_a_thread()


class LeaksWhenAnAddFails(_Leaky):
    def copy(self, source, file):
        try:
            return super().copy(source, file)
        except BaseException:
            self.leak()
            raise


class LeaksWhenAnAddIsRefused(_Leaky):
    def add(self, key, source, size=None):
        try:
            return super().add(key, source, size)
        except Duplicate:
            self.leak()
            raise


class LeaksWhenItLists(_Leaky):
    def attempts(self):
        self.leak()
        yield from super().attempts()


class LeaksWhenItIsClosed(_Leaky):
    """Opens its folder at the first use, and never closes it."""

    folder = -1

    def get(self, location, offset=0, length=None):
        if self.folder < 0:
            self.folder = os.open(self.options.path, os.O_RDONLY)
        return super().get(location, offset, length)


class LeavesItsThreadWhenItIsClosed(_Leaky):
    worker = False

    def add(self, key, source, size=None):
        if not self.worker:
            self.worker = True
            self.leak_a_thread()
        return super().add(key, source, size)


# What is disclosed.


class HasAbsoluteLocations(FolderStore):
    def locate(self, key):
        return f"folder:{self.options.path}/{key}"

    def path(self, location):
        return super().path(location.replace(f"{self.options.path}/", ""))


class PutsAnOptionIntoLocations(FolderStore):
    def locate(self, key):
        return f"folder:{self.options.bucket}/{key}"

    def path(self, location):
        return super().path(location.replace(f"{self.options.bucket}/", ""))

    class Options(FolderOptions):
        bucket: str = Field("pictures-7", description="the bucket")


class HashesItsKeys(FolderStore):
    def locate(self, key):
        return f"folder:{hashlib.sha256(key.encode()).hexdigest()}"

    def path(self, location):
        return self.options.path / key_of(self.name, location, "folder:")

    def part(self, key):
        return self.options.path / f"{key}~0"


class NamesPathsInErrors(FolderStore):
    def get(self, location, offset=0, length=None):
        try:
            return super().get(location, offset, length)
        except BlobNotFound:
            raise BlobNotFound(self.name, f"there is no {self.path(location)}") from None


class NamesOptionsInErrors(PutsAnOptionIntoLocations):
    locate = FolderStore.locate
    path = FolderStore.path

    def size(self, location):
        try:
            return super().size(location)
        except BlobNotFound:
            raise BlobNotFound(self.name, f"{self.options.bucket} has no such blob") from None


class NamesPathsWhenAKeyIsTaken(FolderStore):
    def publish(self, part, final):
        os.link(part, final)

    def add(self, key, source, size=None):
        final = self.path(self.locate(key))
        if final.exists():
            raise Duplicate(self.name, f"{final} is taken")
        return super().add(key, source, size)


class NamesPathsWhenItIsFull(FolderStore):
    def error(self, error):
        return type(super().error(error))(self.name, f"no room below {self.options.path}")


class HasAPlainPassword(FolderStore):
    class Options(FolderOptions):
        password: str = Field("x", description="the password")


class MayHaveAPlainToken(FolderStore):
    class Options(FolderOptions):
        api_token: str | None = Field(None, description="the token")
        api_key: SecretStr | None = Field(None, description="the key")


# A constructor that does I/O.


class ListsItsFolderAtOnce(FolderStore):
    def __init__(self, name, options):
        super().__init__(name, options)
        self.known = os.listdir(options.path) if options.path.exists() else []


class LooksForItsFolderAtOnce(FolderStore):
    def __init__(self, name, options):
        super().__init__(name, options)
        self.is_there = os.path.isdir(options.path)


class MakesItsFolderAtOnce(FolderStore):
    def __init__(self, name, options):
        super().__init__(name, options)
        os.makedirs(options.path, exist_ok=True)


class OpensAFileAtOnce(FolderStore):
    def __init__(self, name, options):
        super().__init__(name, options)
        with open(os.devnull) as file:
            self.text = file.read()


class ConnectsAtOnce(FolderStore):
    def __init__(self, name, options):
        super().__init__(name, options)
        with socket.socket() as connection:
            self.answer = connection.connect_ex(("127.0.0.1", 1))


with_kits(globals())
