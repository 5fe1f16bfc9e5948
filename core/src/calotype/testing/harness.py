"""What the cases of the kit stand on: hooks for the driver's author, one fixture, and helpers.

pytest makes a new instance of the test class for each test, so `self` holds the
test's own state: the driver, the checked store around it, and what has to be removed.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, TypeVar

import pytest

from calotype.stores import BlobNotFound, Capability, Reader, Store, StoreError
from calotype.stores.checked import CheckedStore
from calotype.stores.measured import BLOCK, Expectations, UploadResult
from calotype.testing.readers import Trickle, assert_same, pattern, read_all

#: A test of the kit.
Case = TypeVar("Case", bound=Callable[..., None])


def needs(capability: Capability) -> Callable[[Case], Case]:
    """Skip the test for drivers that do not declare the capability."""

    def mark(test: Case) -> Case:
        vars(test)["needs"] = capability
        return test

    return mark


class Harness:
    """Hooks and helpers; the cases are in the classes that `StoreConformance` is made of."""

    #: The size in bytes above which the driver stores in parts; sizes around it are then tried too.
    part_size: ClassVar[int | None] = None
    #: The size of the blob that must flow through, and the most memory in bytes it may cost.
    large_size: ClassVar[int] = 64 << 20
    memory_max: ClassVar[int] = 32 << 20
    #: Whether nobody else writes to the store meanwhile; if not, listings are searched for our own only.
    alone: ClassVar[bool] = True
    #: What the driver cannot do and why: test name (or name[parameter]) -> reason. A strict xfail.
    known_gaps: ClassVar[dict[str, str]] = {}

    @pytest.fixture
    def store(self) -> Store:
        """The driver itself, new for each test, its place made. Every driver's test class defines this."""
        raise NotImplementedError("define a fixture `store` that returns the driver")

    def plant(self, store: Store, data: bytes) -> str:
        """Put bytes where the driver can read them, without the driver.

        Returns:
            What a client would name (EXTERNAL), or a location (a driver without WRITE).
        """
        raise NotImplementedError("a driver with EXTERNAL or without WRITE needs `plant`")

    def replant(self, store: Store, planted: str, data: bytes) -> None:
        """Put other bytes in the place of those that `plant` put there."""
        raise NotImplementedError("a driver with EXTERNAL needs `replant`")

    def uproot(self, store: Store, planted: str) -> None:
        """Remove what `plant` put there."""
        raise NotImplementedError("a driver with EXTERNAL or without WRITE needs `uproot`")

    def leftovers(self, store: Store) -> list[Any]:
        """What unfinished uploads have left: temporary files, parts. No test may add to it."""
        return list(store.attempts()) if Capability.LISTING in store.capabilities else []

    @pytest.fixture(autouse=True)
    def _trial(self, request: pytest.FixtureRequest, store: Store) -> Iterator[None]:
        self._expect_gap(request)
        needed = getattr(request.function, "needs", Capability.NONE)
        for capability in needed & ~store.capabilities:
            pytest.skip(f"{type(store).__name__} does not declare {capability.name}")
        self.driver = store
        self.checked = CheckedStore(store)
        self._keys: list[str] = []
        self._locations: list[str] = []
        self._planted: list[str] = []
        self._before = self.leftovers(store)
        yield
        left = self.left_behind()
        self._remove_everything()
        store.close()
        assert left == [], "the test has left something behind"

    def _expect_gap(self, request: pytest.FixtureRequest) -> None:
        for name in self.known_gaps:
            assert hasattr(self, name.partition("[")[0]), f"known_gaps names {name}, which is no test"
        for name in (request.node.name, request.node.originalname):
            if name in self.known_gaps:
                request.applymarker(pytest.mark.xfail(reason=self.known_gaps[name], strict=True))
                return

    def _remove_everything(self) -> None:
        for location in self._locations:
            with contextlib.suppress(StoreError):
                self.driver.delete(location)
        for key in self._keys:
            with contextlib.suppress(StoreError):
                self.driver.discard(key)
        for planted in self._planted:
            with contextlib.suppress(FileNotFoundError):
                self.uproot(self.driver, planted)

    # What the cases use.

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Parametrise `size` by the class's own sizes."""
        if "size" in metafunc.fixturenames:
            metafunc.parametrize("size", self.sizes())

    @classmethod
    def sizes(cls) -> list[int]:
        """The sizes to try: nothing, one byte, around a block, and around the driver's parts."""
        sizes = {0, 1, 65_536, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 17}
        if cls.part_size:
            part = cls.part_size
            sizes |= {part - 1, part, part + 1, 2 * part, 2 * part + 1}
        return sorted(sizes)

    @classmethod
    def span(cls) -> int:
        """A size that needs more than one block, and more than one part."""
        return max(cls.part_size or 0, BLOCK) + 1003

    def key(self) -> str:
        """A key that was never used; whatever lies under it is removed after the test."""
        key = f"{uuid.uuid4()}.1"
        self._keys.append(key)
        return key

    def add(self, key: str, source: Reader, demands: Expectations | None = None) -> UploadResult:
        """Add through the checked store, and see that it is removed after the test."""
        received = self.checked.add(key, source, demands or Expectations())
        self._locations.append(received.location)
        return received

    def put(self, data: bytes) -> str:
        """Bring bytes into the store, in the way it has; returns their location."""
        if self.checked.can(Capability.WRITE):
            return self.add(self.key(), Trickle(data), Expectations(length=len(data))).location
        planted = self.put_outside(data)
        return self.checked.register(planted).location if self.checked.can(Capability.EXTERNAL) else planted

    def put_outside(self, data: bytes) -> str:
        """Plant bytes, and see that they are removed after the test."""
        planted = self.plant(self.driver, data)
        self._planted.append(planted)
        return planted

    def missing(self) -> str:
        """A location of the right form where nothing lies any more."""
        location = self.put(pattern(10))
        if self._planted:
            self.uproot(self.driver, self._planted.pop())
        elif self.checked.can(Capability.DELETE):
            self.driver.delete(location)
        else:
            nowhere = self.driver.locate(self.key())
            if nowhere is None:
                pytest.skip(f"{type(self.driver).__name__} cannot lose a blob: no DELETE, no locate")
            return nowhere
        return location

    def twin(self) -> Store:
        """A second driver with the same name and options, as another process would have it."""
        return type(self.driver)(self.driver.name, self.driver.options)

    def read(self, location: str, size: int, store: Store | None = None) -> bytes:
        """All bytes at a location, of which there must not be more than `size`."""
        return read_all((store or self.driver).get(location), limit=size)

    def left_behind(self) -> list[Any]:
        """What this test has added to the leftovers."""
        now = [item for item in self.leftovers(self.driver) if item not in self._before]
        if not self.alone and Capability.LISTING in self.driver.capabilities:
            now = [item for item in now if getattr(item, "location", None) in self._keys]
        return now

    def listed(self) -> dict[str, int]:
        """Location -> size of everything that the store lists."""
        return {blob.location: blob.size for blob in self.checked.blobs()}

    def assert_nothing_under(self, key: str) -> None:
        """See that a failed upload left no blob, no part of one, and no taken key."""
        assert self.left_behind() == []
        location = self.driver.locate(key)
        if location is not None:
            with pytest.raises(BlobNotFound):
                self.driver.get(location).close()
        data = pattern(999, seed=9)
        again = self.add(key, Trickle(data))

        assert_same(self.read(again.location, len(data)), data)
