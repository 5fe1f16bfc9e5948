"""Guard: the wrapper that controls which calls reach a driver, and names the store in its errors."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from calotype.stores.abilities import External, Listing, LocalFiles, Parts
from calotype.stores.bulkhead import Bulkhead
from calotype.stores.contract import Store, WritableStore
from calotype.stores.errors import Unsupported, named_errors
from calotype.stores.gate import Gate

#: Called after each operation with the store, the operation, "ok" or an error's class, and its duration in
#: seconds.
Observer = Callable[[str, str, str, float], None]


Ability = TypeVar("Ability")

_LACKS: dict[type, str] = {
    WritableStore: "it takes no uploads, and deletes nothing",
    External: "it accepts no external locations",
    Listing: "it cannot list what it holds",
    Parts: "it takes no uploads in parts",
}


class Guard:
    """A wrapped driver, which is called only if its gate admits it, and only for the abilities it has."""

    def __init__(
        self,
        driver: Store,
        *,
        read_only: bool = False,
        algorithms: tuple[str, ...] = ("sha256", "md5"),
        bulkhead: Bulkhead | None = None,
    ):
        self.name = driver.name
        self.driver = driver
        self.bulkhead = bulkhead or Bulkhead(driver.name)
        #: True if blobs are files on this machine. Opening a file takes less time than handing the call to
        #: a thread, and the server can send the file without a worker.
        self.keeps_files = isinstance(driver, LocalFiles)
        self.schemes = driver.schemes if isinstance(driver, External) else ()
        #: The interfaces of the driver that are switched off, by its options or by `read_only`.
        self.withheld = driver.withheld | ({WritableStore} if read_only else set())
        self.observe: Observer | None = None
        self.gate: Gate | None = None
        self.redirect = False
        self.accel: str | None = None
        self.scrub = True
        self.scrub_rate: int | None = None
        self.algorithms = algorithms

    @contextlib.contextmanager
    def _using(self, operation: str | None = None) -> Iterator[None]:
        """Use the driver if the gate admits it, name the store in errors, and report the operation."""
        began, outcome = time.perf_counter(), "ok"
        try:
            if self.gate is not None:
                self.gate.admit()
            with named_errors(self.name):
                yield
        except BaseException as error:
            outcome = type(error).__name__
            raise
        finally:
            if operation is not None and self.observe is not None:
                self.observe(self.name, operation, outcome, time.perf_counter() - began)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name} of {type(self.driver).__name__}>"

    def can(self, ability: type) -> bool:
        """Return whether the store has an ability, which is an interface of the contract."""
        return isinstance(self.driver, ability) and ability not in self.withheld

    def _need(self, ability: type[Ability]) -> Ability:
        """Return the driver as an interface of the contract.

        Raises:
            Unsupported: the store does not have this ability.
        """
        if not isinstance(self.driver, ability) or ability in self.withheld:
            raise Unsupported(self.name, _LACKS.get(ability, "it cannot do this"))
        return self.driver
