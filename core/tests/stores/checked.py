"""A CheckedStore over a driver with methods that a test replaces."""

from calotype.stores.checked import CheckedStore
from calotype.stores.measured import Expectations
from calotype.testing import MemoryStore, Trickle, pattern

DATA = pattern(5000)


class Bent(MemoryStore):
    """A MemoryStore whose methods can be replaced one by one."""

    def __init__(self, **methods):
        super().__init__("bent", MemoryStore.Options())
        for name, method in methods.items():
            setattr(self, name, method)


def checked(**methods) -> CheckedStore:
    return CheckedStore(Bent(**methods))


def raising(error: BaseException):
    def method(*args, **kw):
        raise error

    return method


def add(store: CheckedStore, data: bytes = DATA, key: str = "k", **demands) -> str:
    return store.add(key, Trickle(data), Expectations(**demands)).location


def read(reader) -> bytes:
    return b"".join(iter(lambda: reader.read(999), b""))
