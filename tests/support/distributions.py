"""Small distributions that tests write into a folder for PYTHONPATH, as if pip had installed them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

#: A driver that accepts locations. Besides its own blobs, it reads external bytes at `memory:lent`. Unlike
#: MemoryStore it would delete them, too, so that tests notice if the core asks it to.
LENT = b"somebody else's bytes"
LENDING = {
    "lending_driver.py": f"""
from calotype.testing import MemoryStore


class LendingStore(MemoryStore):
    def __init__(self, name, options):
        super().__init__(name, options)
        self.shelf.foreign["lent"] = {LENT!r}

    def delete(self, location):
        if location.startswith("memory:"):
            self.shelf.foreign.clear()
        else:
            super().delete(location)
"""
}

#: A driver as a third party may write it. It keeps files in one directory, and guards against nothing.
PLAIN = {
    "plain_driver.py": """
import datetime
import os
import tempfile
from pathlib import Path

from calotype.stores import (
    Blob, BlobNotFound, Duplicate, Listing, Stored, StoreOptions, Unavailable, WritableStore
)


class PlainStore(WritableStore, Listing):
    api_version = (2, 0)

    class Options(StoreOptions):
        path: Path

    def get(self, location, offset=0, length=None):
        return self._open(location)

    def size(self, location):
        with self._open(location) as file:
            return os.fstat(file.fileno()).st_size

    def add(self, key, source, size=None):
        self.check()
        with tempfile.NamedTemporaryFile(prefix="~", dir=self.options.path) as file:
            while block := source.read(1 << 20):
                file.write(block)
            file.flush()
            try:
                os.link(file.name, self.options.path / key)
            except FileExistsError:
                raise Duplicate(self.name, "the key is taken") from None
            return Stored(self.locate(key), file.tell())

    def locate(self, key):
        return f"plain:{key}"

    def delete(self, location):
        self._open(location).close()
        os.unlink(self._path(location))

    def blobs(self):
        for path in self.options.path.glob("[!~]*"):
            status = path.stat()
            modified = datetime.datetime.fromtimestamp(status.st_mtime, datetime.UTC)
            yield Blob(self.locate(path.name), status.st_size, modified)

    def attempts(self):
        return iter(())

    def create(self):
        self.options.path.mkdir(parents=True, exist_ok=True)

    def check(self):
        if not self.options.path.is_dir():
            raise Unavailable(self.name, "its directory is not there")

    def _path(self, location):
        return self.options.path / location.removeprefix("plain:")

    def _open(self, location):
        self.check()
        try:
            return open(self._path(location), "rb")
        except FileNotFoundError:
            raise BlobNotFound(self.name, "there is no such blob") from None
"""
}


#: A driver that hangs on demand. A method hangs while the directory `gates` has a file `hang-METHOD`, and
#: readers hang while it has `hang-read`. The file `in-METHOD` has a byte for each call that began to hang.
HANGING = {
    "hanging_driver.py": """
import threading
import time
from pathlib import Path

from calotype.stores import StoreOptions
from calotype.testing import MemoryStore

LOCK = threading.Lock()


class Options(MemoryStore.Options):
    gates: Path


class Hanging(MemoryStore):
    Options = Options

    def get(self, *arguments):
        self.pass_gate("get")
        return Reader(super().get(*arguments), self)

    def size(self, location):
        self.pass_gate("size")
        return super().size(location)

    def add(self, key, source, size=None):
        self.pass_gate("add")
        return super().add(key, source, size)

    def delete(self, location):
        self.pass_gate("delete")
        super().delete(location)

    def register(self, uri):
        self.pass_gate("register")
        return super().register(uri)

    def check(self):
        self.pass_gate("check")

    def close(self):
        self.pass_gate("close")

    def pass_gate(self, method):
        if (self.options.gates / f"hang-{method}").exists():
            with LOCK, (self.options.gates / f"in-{method}").open("a") as file:
                file.write(".")
            while (self.options.gates / f"hang-{method}").exists():
                time.sleep(0.05)


class Reader:
    def __init__(self, reader, store):
        self.reader, self.store, self.close = reader, store, reader.close

    def read(self, size=-1):
        self.store.pass_gate("read")
        return self.reader.read(size)
"""
}


def write_distribution(
    folder: Path, name: str, drivers: Mapping[str, str], modules: Mapping[str, str] | None = None
) -> Path:
    """Write a distribution that offers store drivers, and return the folder.

    `drivers` maps an entry point's name to "module:Class". `modules` maps a file's name to its text.
    """
    information = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = [f"{driver} = {target}" for driver, target in drivers.items()]
    (information / "entry_points.txt").write_text("\n".join(["[calotype.stores]", *lines, ""]))
    for file, text in (modules or {}).items():
        (folder / file).write_text(text)
    return folder


def on_path(*folders: Path) -> dict[str, str]:
    """Return environment variables that make the distributions in these folders count as installed."""
    inherited = os.environ.get("PYTHONPATH")
    return {"PYTHONPATH": os.pathsep.join([*map(str, folders), *([inherited] if inherited else [])])}
