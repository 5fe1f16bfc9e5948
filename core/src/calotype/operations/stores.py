"""Stores: how full each store is, and whether it answers."""

from __future__ import annotations

from dataclasses import dataclass

from calotype.database.database import Database
from calotype.model.overviews import Held
from calotype.stores.catalog import Catalog
from calotype.stores.values import StoreInfo
from calotype.transfers.probes import Probes, ProbeState

#: The share of a store's capacity below which its free space counts as little.
_LITTLE = 0.1


@dataclass(frozen=True, slots=True)
class Fullness:
    """The room of a store, and what it holds, in bytes.

    `room` has the numbers that the store itself reports; other data on the same disk uses room, too. `held`
    has the copies that the database knows.
    """

    room: StoreInfo
    held: Held

    @property
    def used(self) -> int | None:
        """The bytes that are in use; None if the store does not know its capacity or its free space."""
        if self.room.capacity is None or self.room.free is None:
            return None
        return max(0, self.room.capacity - self.room.free)

    @property
    def is_nearly_full(self) -> bool:
        """True if less than a tenth of the capacity is free."""
        capacity, free = self.room.capacity, self.room.free
        return capacity is not None and free is not None and free < capacity * _LITTLE


@dataclass(frozen=True, slots=True)
class StoreState:
    """A configured store, as this process's last probe saw it.

    Args:
        name: The store's name.
        driver: The driver's name, distribution and version, as in "NAME, of DISTRIBUTION 0.1.0".
        is_default: True if uploads that name no store go there.
        state: The result of the last probe.
        fullness: Its room at the last measurement, and what it holds.
    """

    name: str
    driver: str
    is_default: bool
    state: ProbeState
    fullness: Fullness


def store_states(database: Database, stores: Catalog, probes: Probes) -> list[StoreState]:
    """Return the state of each configured store. No store is called, so a store that hangs delays nothing.

    `stores.off` has the stores that are off, with the reasons.
    """
    return [
        StoreState(
            name,
            f"{entry.driver.name}, of {entry.driver.distribution} {entry.driver.version}",
            name == stores.default,
            probes.stores[name].state,
            Fullness(probes.stores[name].room, database.overviews.held(name)),
        )
        for name, entry in stores.entries.items()
    ]
