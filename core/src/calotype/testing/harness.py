"""The base of the kit's cases: hooks for the driver's author, one fixture, and helpers.

pytest makes a new instance of the test class for each test, so `self` has the test's own state: the driver,
the checked store around it, and everything that must be removed afterwards.
"""

from __future__ import annotations

import contextlib
import re
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr

from calotype.stores import BlobNotFound, External, Listing, Reader, Store, StoreError, WritableStore
from calotype.stores.checked import CheckedStore
from calotype.stores.measured import BLOCK, Expectations, UploadResult
from calotype.testing.faultproxy import Proxied
from calotype.testing.limits import TimeLimits, limited
from calotype.testing.readers import Flow, Trickle, assert_same, pattern, read_all

#: The minimum length of an option's value that is searched for in a text, in characters.
SHORTEST = 5
#: An absolute path, at the start of a text or after a delimiter. It does not match the host of a URL.
ABSOLUTE = re.compile(r"""(?:^|[\s'"(=:])/\w""")
#: A test of the kit.
Case = TypeVar("Case", bound=Callable[..., None])


def needs(*abilities: type, ranges: bool = False) -> Callable[[Case], Case]:
    """Skip the test for drivers that lack one of the abilities, or that cannot start at an offset."""

    def mark(test: Case) -> Case:
        vars(test).update(needs=abilities, needs_ranges=ranges)
        return test

    return mark


@dataclass(frozen=True, slots=True)
class Large:
    """A large stored blob: its location, its size in bytes, and its SHA-256."""

    location: str
    size: int
    sha256: str


class Harness:
    """Hooks and helpers. The cases are in the base classes of `StoreConformance`."""

    #: The size in bytes above which the driver stores in parts. The kit then also tries sizes around it.
    part_size: ClassVar[int | None] = None
    #: The size of a large blob, and the maximum memory for storing and reading it, in bytes.
    large_size: ClassVar[int] = 64 << 20
    memory_max: ClassVar[int] = 32 << 20
    #: The maximum size of a request to the backend in bytes, if the driver must divide larger blobs.
    request_max: ClassVar[int | None] = None
    #: True if the driver stores 4 GiB of zeros in seconds. None: True for LocalFiles.
    sparse: ClassVar[bool | None] = None
    #: False if the blobs are lost with the process, as in memory. Then no case uses a second process.
    survives_processes: ClassVar[bool] = True
    #: False if a killed upload leaves nothing in the place, for instance because its file has no name yet.
    leaves_attempts: ClassVar[bool] = True
    #: Options that are named like secrets but are public, such as the public half of a key.
    public_options: ClassVar[frozenset[str]] = frozenset()
    #: Seconds after which a call counts as blocked by another call.
    patience: ClassVar[float] = 20
    #: True if only the test writes to the store. If false, a test ignores blobs of others in listings.
    alone: ClassVar[bool] = True
    #: Tests that the driver is known to fail: name (or name[parameter]) -> reason. Each is a strict xfail.
    known_gaps: ClassVar[dict[str, str]] = {}
    #: The time limit of each case, in seconds. If a driver hangs, the case fails at this limit.
    case_seconds: ClassVar[float] = 60
    #: The names of the driver's abilities, and "ranges": if one is lost, a case fails. None: not compared.
    abilities: ClassVar[frozenset[str] | None] = None
    #: The location of a key in every version of the driver, such as "tape:{key}". None: not compared.
    location_form: ClassVar[str | None] = None
    #: Seconds within which each call of the driver that `proxied` yields ends if its backend never answers.
    deadline: ClassVar[float] = 30
    #: The number of blobs in a long listing. None: 1,001 if the driver has LocalFiles, otherwise 101.
    listing_size: ClassVar[int | None] = None
    #: False if the kit's blobs have no direct URL, for instance because their sources have private addresses.
    has_direct_urls: ClassVar[bool] = True
    #: False if a direct URL never expires, for instance because it is the URL of the source itself.
    direct_urls_expire: ClassVar[bool] = True

    @pytest.fixture
    def store(self) -> Store:
        """Return a new driver, whose place exists. Every subclass must define this fixture."""
        raise NotImplementedError("define a fixture `store` that returns the driver")

    def plant(self, store: Store, data: bytes) -> str:
        """Put bytes where the driver can read them, without using the driver.

        Returns:
            The URI for `register` if the driver is External, otherwise a location.
        """
        raise NotImplementedError("a driver that is External, or no WritableStore, needs `plant`")

    def replant(self, store: Store, planted: str, data: bytes) -> None:
        """Replace the bytes that `plant` put there."""
        raise NotImplementedError("a driver that is External needs `replant`")

    def uproot(self, store: Store, planted: str) -> None:
        """Remove the bytes that `plant` put there."""
        raise NotImplementedError("a driver that is External, or no WritableStore, needs `uproot`")

    def take_away(self, store: Store) -> contextlib.AbstractContextManager[object]:
        """Return a context in which the place of the store cannot be reached; afterwards, all is as before.

        Rename the directory, for instance, or let a FaultProxy refuse all requests and cut all connections.
        """
        raise NotImplementedError("the hook `take_away` is not implemented")

    def directory(self, store: Store) -> Path:
        """Return the directory to which paths of `file_path` are relative."""
        raise NotImplementedError("the hook `directory` is not implemented")

    def received(self, store: Store) -> int | None:
        """Return how many bytes the driver has received from its place since it was created.

        The default returns None. The kit then counts what this process reads from files and from Python's
        sockets, so only a driver that reads in another way, such as through a library in C, needs this hook.
        """
        return None

    def leftovers(self, store: Store) -> list[Any]:
        """Return the remains of unfinished uploads, such as temporary files. No test may add to them."""
        return list(store.attempts()) if isinstance(store, Listing) else []

    def full(self, store: Store) -> contextlib.AbstractContextManager[Store]:
        """Return a context that yields a driver of the same place, without room for `span()` bytes."""
        raise NotImplementedError("a test of a full store needs `full`")

    def too_small(self, store: Store) -> contextlib.AbstractContextManager[Store]:
        """Return a context that yields a driver of this place, into which `span()` bytes can never fit."""
        raise NotImplementedError("a test of a blob that is too large needs `too_small`")

    def proxied(self, store: Store) -> contextlib.AbstractContextManager[Proxied]:
        """Return a context that yields a driver of this place behind a FaultProxy, with short timeouts."""
        raise NotImplementedError("a test of broken connections needs `proxied`")

    @pytest.fixture(autouse=True)
    def _trial(self, request: pytest.FixtureRequest, store: Store) -> Iterator[None]:
        self._expect_gap(request)
        self.driver = store
        self.checked = CheckedStore(store)
        for ability in getattr(request.function, "needs", ()):
            if not self.checked.can(ability):
                pytest.skip(f"{type(store).__name__} is no {ability.__name__}")
        if getattr(request.function, "needs_ranges", False) and not store.ranges:
            pytest.skip(f"{type(store).__name__} does not declare ranges")
        self._keys: list[str] = []
        self._locations: list[str] = []
        self._planted: list[str] = []
        self._twins: list[Store] = []
        self._before = self.leftovers(store)
        yield
        with limited(request.node):
            left = self.left_behind()
            self._remove_everything()
            for opened in (*self._twins, store):
                opened.close()
        assert left == [], "the test has left something behind"

    def _expect_gap(self, request: pytest.FixtureRequest) -> None:
        for name in self.known_gaps:
            assert hasattr(self, name.partition("[")[0]), f"known_gaps names {name}, which is not a test"
        for name in (request.node.name, request.node.originalname):
            if name in self.known_gaps:
                request.applymarker(pytest.mark.xfail(reason=self.known_gaps[name], strict=True))
                return

    def _remove_everything(self) -> None:
        if isinstance(self.driver, WritableStore):
            for location in self._locations:
                with contextlib.suppress(StoreError):
                    self.driver.delete(location)
            for key in self._keys:
                with contextlib.suppress(StoreError):
                    self.driver.discard(key)
        for planted in self._planted:
            with contextlib.suppress(FileNotFoundError):
                self.uproot(self.driver, planted)

    # Helpers for the cases.

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Parametrize `size` with the class's own sizes, and limit the time of the cases."""
        TimeLimits.ensure(metafunc.config)
        if "size" in metafunc.fixturenames:
            metafunc.parametrize("size", self.sizes())

    @classmethod
    def sizes(cls) -> list[int]:
        """Return the sizes to try: nothing, one byte, around a block, and around the driver's parts."""
        sizes = {0, 1, 65_536, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 17}
        if cls.part_size:
            part = cls.part_size
            sizes |= {part - 1, part, part + 1, 2 * part, 2 * part + 1}
        return sorted(sizes)

    @classmethod
    def span(cls) -> int:
        """Return a size that needs more than one block, and more than one part."""
        return max(cls.part_size or 0, BLOCK) + 1003

    @property
    def writable(self) -> WritableStore[Any]:
        """The driver, for cases that need a WritableStore."""
        assert isinstance(self.driver, WritableStore)
        return self.driver

    @property
    def listing(self) -> Listing:
        """The driver, for cases that need a Listing."""
        assert isinstance(self.driver, Listing)
        return self.driver

    @property
    def external(self) -> External:
        """The driver, for cases that need an External."""
        assert isinstance(self.driver, External)
        return self.driver

    def key(self) -> str:
        """Return a new key. Everything under it is removed after the test."""
        key = f"{uuid.uuid4()}.1"
        self._keys.append(key)
        return key

    def add(self, key: str, source: Reader, demands: Expectations | None = None) -> UploadResult:
        """Add a source through the checked store. The blob is removed after the test."""
        received = self.checked.add(key, source, demands or Expectations())
        self._locations.append(received.location)
        return received

    def put(self, data: bytes) -> str:
        """Store or register bytes, depending on the driver, and return their location."""
        if self.checked.can(WritableStore):
            return self.add(self.key(), Trickle(data), Expectations(length=len(data))).location
        planted = self.put_outside(data)
        return self.checked.register(planted).location if self.checked.can(External) else planted

    def put_outside(self, data: bytes) -> str:
        """Plant bytes, which are removed after the test."""
        planted = self.plant(self.driver, data)
        self._planted.append(planted)
        return planted

    def put_large(self) -> Large:
        """Store or register a blob of `large_size` bytes."""
        source = Flow(self.large_size)
        if self.checked.can(WritableStore):
            location = self.add(self.key(), source, Expectations(length=self.large_size)).location
        else:
            location = self.put(b"".join(iter(source.read, b"")))
        return Large(location, self.large_size, source.sha256())

    def missing(self) -> str:
        """Return a valid location whose blob does not exist any more."""
        location = self.put(pattern(10))
        if self._planted:
            self.uproot(self.driver, self._planted.pop())
        else:
            self.writable.delete(location)
        return location

    def twin(self, name: str | None = None) -> Store:
        """Return a second driver with the same options, as another process has one; the kit closes it."""
        twin = type(self.driver)(name or self.driver.name, self.driver.options)
        self._twins.append(twin)
        return twin

    def writable_twin(self) -> WritableStore[Any]:
        """Return a second driver, for cases that need a WritableStore."""
        twin = self.twin()
        assert isinstance(twin, WritableStore)
        return twin

    @classmethod
    def has(cls, hook: str) -> bool:
        """Return whether the author of the driver has implemented a hook."""
        return getattr(cls, hook) is not getattr(Harness, hook)

    def need_hook(self, hook: str) -> None:
        """Skip the test if the author of the driver has not implemented a hook."""
        if not self.has(hook):
            pytest.skip(f"{type(self).__name__} does not define the hook `{hook}`")

    def read(self, location: str, size: int, store: Store | None = None) -> bytes:
        """Return all bytes at a location. Fail if there are more than `size`."""
        return read_all((store or self.driver).get(location), limit=size)

    def left_behind(self) -> list[Any]:
        """Return the leftovers that this test has added."""
        now = [item for item in self.leftovers(self.driver) if item not in self._before]
        if not self.alone and isinstance(self.driver, Listing):
            now = [item for item in now if getattr(item, "location", None) in self._keys]
        return now

    def disclosed(self, text: str, *, is_prose: bool = False) -> list[str]:
        """Return the names of the options whose values, or whose host and port, are in a text.

        In prose, a value that is a plain word, such as a user named "store", is no disclosure.
        """
        found = []
        for name, value in self.driver.options:
            shown = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
            for part in {shown, urlsplit(shown).netloc} if isinstance(value, (SecretStr, str, Path)) else ():
                is_word = is_prose and part.isalpha() and not isinstance(value, SecretStr)
                if len(part) < SHORTEST or is_word:
                    continue
                if re.search(rf"(?<![\w.-]){re.escape(part)}(?![\w-])", text):
                    found.append(name)
        return found

    def assert_discreet(self, error: StoreError) -> None:
        """Assert that the reason of an error, which clients get, names no path, URL or option's value."""
        reason = error.reason

        assert not ABSOLUTE.search(reason), f"clients get a path: {reason}"
        assert "://" not in reason, f"clients get a URL: {reason}"
        assert self.disclosed(reason, is_prose=True) == [], f"clients get the values of options: {reason}"

    def listed(self) -> dict[str, int]:
        """Return location -> size of everything that the store lists."""
        return {blob.location: blob.size for blob in self.checked.blobs()}

    def assert_nothing_under(self, key: str) -> None:
        """Assert that a failed upload left no blob and no part, and that its key is free."""
        assert self.left_behind() == []
        with pytest.raises(BlobNotFound):
            self.driver.get(self.writable.locate(key)).close()
        data = pattern(999, seed=9)
        again = self.add(key, Trickle(data))

        assert_same(self.read(again.location, len(data)), data)
